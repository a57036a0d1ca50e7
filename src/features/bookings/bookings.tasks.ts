import { z } from 'zod';
import { addJob, defineTask, type TaskDefinition } from '../../platform/jobs/index.ts';
import type { AddSettleJob, BookingsService } from './bookings.service.ts';

const settlePayment = { name: 'settle-payment', schema: z.object({ paymentId: z.uuid() }) } satisfies TaskDefinition;

/** One job for each payment: a later step of it replaces the one that waits. */
export const addSettleJob: AddSettleJob = (em, paymentId, afterSeconds) =>
  addJob(em, settlePayment, { paymentId }, { inSeconds: afterSeconds, jobKey: `settle-payment:${paymentId}` });

/** Finishes payments whose request did not: it crashed, or the provider's answer was unknown. Tried again with growing pauses until it is known. */
export const settlePaymentTask = (bookings: BookingsService) =>
  defineTask({
    ...settlePayment,
    handle: async ({ paymentId }) => {
      const payment = await bookings.settle(paymentId);
      if (payment.state === 'PENDING' || payment.state === 'REFUNDING')
        throw new Error(`Payment ${paymentId} is still ${payment.state}: its provider does not know yet. It is asked again.`);
    },
  });
