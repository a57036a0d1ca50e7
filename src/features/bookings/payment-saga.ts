import { type EntityManager, LockMode } from '@mikro-orm/postgresql';
import type { Logger } from 'pino';
import type { Database } from '../../platform/database/database.ts';
import {
  type Approved,
  type Authorization,
  type Captured,
  type Found,
  Payment,
  type PaymentOrder,
  type PaymentProvider,
  type ProviderName,
  paymentsOf,
  Refund,
  type Refunded,
  type ReturnRequest,
  type Voided,
} from '../payments/index.ts';
import type { BookCaptured } from './book-captured.ts';
import { type Conclusions, type RescuePlan, RescuePlanMissingError, type Told } from './conclusions.ts';
import { isBusy, isRepeatable, NOT_APPROVED, nextStep, type Step } from './next-step.ts';
import type { ReachWaypoint } from './waypoints.ts';

export interface SagaOptions {
  /** How long one call of a provider can take at most: so long nobody else asks for the same payment. */
  callSeconds: number;
  /** The pause after the first answer that says nothing; each further one is twice as long, up to 5 minutes. */
  lookAgainSeconds: number;
}

export interface SagaParts {
  database: Database;
  providers: ReadonlyMap<ProviderName, PaymentProvider>;
  conclusions: Conclusions;
  booking: BookCaptured;
  /** The addresses the provider sends the browser to. */
  returnUrlsOf(paymentId: string): PaymentOrder['returnUrls'];
  /** Tells the watchers what changed, after a commit. */
  tell(told: Told): void;
  reached: ReachWaypoint;
  logger: Logger;
}

/** Why a payment is looked at now. */
export interface Occasion {
  /** Somebody rang, who is not believed: a webhook, the browser, an operator. The provider is asked. */
  isAsked?: boolean;
  /** What the customer's browser brought back. */
  authorization?: Authorization;
  /** It came after the place was given up, and there is one again. */
  isRescuable?: boolean;
  /** The customer declined at a provider that cannot be asked. */
  declined?: string;
}

/** More steps than any payment needs in one go: approve, find, approve again, find, refund, find. */
const STEPS_MAX = 8;
const PAUSE_MAX_SECONDS = 300;

/** A step that this process has recorded to be at. */
export interface Taken {
  step: Step;
  payment: Payment;
  refund: Refund | null;
}

/**
 * Drives a payment, its hold and its money to one end.
 *
 * Whoever comes (the customer's browser, a webhook, the reconciler, an operator; once or often, on any node) calls the same `advance`. It takes what is left to
 * do from the stored payment, one step at a time: record that the provider is called, call it outside any transaction, conclude from its answer in one
 * transaction. While one caller is at a step the others leave the payment alone, for as long as a call can take; so a process that dies there delays it and
 * nothing more.
 */
export class PaymentSaga {
  /** The payments this process is at; who comes for one of them waits for the same end. */
  private readonly underWay = new Map<string, Promise<Payment>>();

  constructor(
    private readonly parts: SagaParts,
    private readonly options: SagaOptions,
  ) {}

  /** Does what is left to do for a payment, and answers it as it is then. Unknown outcomes leave it open: the reconciler comes again. */
  async advance(paymentId: string, occasion: Occasion = {}): Promise<Payment> {
    const other = this.underWay.get(paymentId);
    if (other !== undefined) {
      const bringsNothing = !occasion.isAsked && !occasion.authorization && !occasion.declined;
      if (bringsNothing) return other;
      // Whoever is at it knows nothing of this: it comes next, also when the other failed, whose caller is told.
      await other.catch(() => undefined);
    }
    return this.follow(paymentId, this.run(paymentId, occasion));
  }

  /**
   * Records, in the transaction that opens a refund, that this process sends it: so nobody else comes between, and who asked for it hears how it ended. To be
   * sent with `send`, after the commit.
   */
  takeRefund(payment: Payment, refund: Refund, now: Date): Taken {
    return this.take({ step: 'REFUND', payment, refund }, now);
  }

  /** Sends what was taken with `takeRefund`. It does not wait for whoever is at the payment here: what that one hears is of before the refund. */
  async send(taken: Taken): Promise<Payment> {
    return this.follow(taken.payment.id, this.run(taken.payment.id, {}, taken));
  }

  /** The browser came back. What it says is checked against the order, and nothing is believed that the provider can be asked about. Null for an unknown one. */
  async returned(paymentId: string, request: ReturnRequest): Promise<Payment | null> {
    const payment = await this.find(paymentId);
    if (!payment) return null;
    const provider = this.providerOf(payment);
    const read = provider.readReturn(this.orderOf(payment), request);
    switch (read.outcome) {
      case 'AUTHORIZED': {
        const { authorization } = read;
        const ended = await this.advance(paymentId, { authorization });
        const isTooLate = ended.state === 'ABANDONED' && ended.endedBecause === 'TIMED_OUT' && !ended.approvingAt;
        if (!isTooLate || !(await this.parts.conclusions.couldBeRescued(ended))) return ended;
        return this.advance(paymentId, { authorization, isRescuable: true });
      }
      case 'ASK':
        return this.advance(paymentId, { isAsked: true });
      case 'DECLINED':
        return this.advance(paymentId, { declined: read.code });
      case 'FORGED':
        this.parts.logger.warn({ paymentId, reason: read.reason }, 'a return from a payment provider is not what it would send');
        return payment;
      default:
        return read satisfies never;
    }
  }

  /** Waits for what this process is at, before it ends. */
  async drained(): Promise<void> {
    await Promise.allSettled(this.underWay.values());
  }

  /** Null for an id that is no payment's. */
  async find(paymentId: string): Promise<Payment | null> {
    const [payment] = await paymentsOf(this.parts.database, 'payment', PAYMENT, [paymentId]);
    return payment ?? null;
  }

  async read(paymentId: string): Promise<Payment> {
    const payment = await this.find(paymentId);
    if (!payment) throw new Error(`There is no payment ${paymentId}.`);
    return payment;
  }

  providerOf(payment: Payment): PaymentProvider {
    const provider = this.parts.providers.get(payment.provider as ProviderName);
    if (!provider)
      throw new Error(`Payment ${payment.id} needs the provider ${payment.provider}, which is not set up on this server: set it up again.`);
    return provider;
  }

  orderOf(payment: Payment): PaymentOrder {
    return {
      paymentId: payment.id,
      customerRef: payment.memberId.replaceAll('-', ''),
      title: payment.title,
      amountMinor: payment.amountMinor,
      currency: payment.currency,
      locale: payment.locale,
      returnUrls: this.parts.returnUrlsOf(payment.id),
      reference: payment.reference ?? null,
    };
  }

  /** Lets others find what this process is at, until it and all it was at before are over. */
  private follow(paymentId: string, run: Promise<Payment>): Promise<Payment> {
    const goOn = () => run;
    const all = (this.underWay.get(paymentId) ?? run).then(goOn, goOn).finally(() => {
      if (this.underWay.get(paymentId) === all) this.underWay.delete(paymentId);
    });
    this.underWay.set(paymentId, all);
    // Whoever called has the run itself.
    all.catch(() => undefined);
    return run;
  }

  private async run(paymentId: string, occasion: Occasion, first: Taken | null = null): Promise<Payment> {
    let next = occasion;
    let taken = first ?? (occasion.authorization ? await this.takeApproval(paymentId, occasion.authorization) : null);
    for (let steps = 0; steps < STEPS_MAX; steps++) {
      if (!taken) {
        const decided = await this.takeStep(paymentId, next);
        if (!decided.taken) return decided.payment;
        taken = decided.taken;
      }
      next = {};
      const made: Made = await this.make(taken);
      if (!made.goesOn) return made.payment;
      taken = made.taken ?? null;
    }
    return this.read(paymentId);
  }

  /** Records under the payment's lock that this process is at a step, so that two never are. */
  private take(taken: Taken, now: Date): Taken {
    const { step, payment, refund } = taken;
    if (step === 'APPROVE') payment.approvingAt = now;
    if (step === 'REFUND' && refund) refund.sentAt = now;
    payment.busyUntil = after(now, this.options.callSeconds);
    payment.nextLookAt = payment.busyUntil;
    return taken;
  }

  /**
   * The step of almost every payment, in one statement: the customer agreed in time and nobody is at it. Null when it is not so plain; then `takeStep` decides.
   */
  private async takeApproval(paymentId: string, authorization: Authorization): Promise<Taken | null> {
    const values = [paymentId, JSON.stringify(authorization), this.options.callSeconds];
    const [payment] = await paymentsOf(this.parts.database, 'take_approval', TAKE_APPROVAL, values);
    return payment ? { step: 'APPROVE', payment, refund: null } : null;
  }

  /** Decides the next step under the payment's lock and takes it. */
  private async takeStep(paymentId: string, occasion: Occasion): Promise<{ taken: Taken | null; payment: Payment }> {
    const taken = await this.parts.database.transact<{ taken: Taken | null; told: Told | null; payment: Payment }>(
      async (em) => {
        const { payment, now } = await lockPayment(em, paymentId);
        if (!payment.provider) {
          // Nothing to pay, and the process that would have booked it at once is gone.
          const isLeft = payment.state === 'PENDING' && payment.nextLookAt != null && payment.nextLookAt <= now;
          return { payment, taken: null, told: isLeft ? await this.parts.conclusions.abandoned(em, payment, 'NOT_PREPARED') : null };
        }
        const { capabilities } = this.providerOf(payment);
        if (occasion.authorization) acceptAuthorization(payment, occasion.authorization, occasion.isRescuable ?? false, now);
        const isTaken = isBusy(payment, now);
        // Another node is asking, perhaps since before what we were called for: it asks again, as after a webhook.
        if (isTaken && occasion.isAsked) payment.rings += 1;
        if (occasion.declined && payment.state === 'PENDING' && payment.isCurrent && !payment.approvingAt && !isTaken)
          return { payment, taken: null, told: await this.parts.conclusions.refused(em, payment, occasion.declined) };

        const refund = payment.state === 'REFUNDING' ? await em.findOneOrFail(Refund, { paymentId, state: 'OPEN' }) : null;
        const step = nextStep({
          payment,
          refund,
          capabilities,
          isAsked: occasion.isAsked === true || payment.rings > payment.ringsAnswered,
          now,
        });
        if (step === null) {
          // Nothing is left that we could do: an open refund nobody can ask about waits for an operator, and is not looked at in vain.
          if (payment.nextLookAt && payment.nextLookAt <= now && !isTaken) {
            payment.ringsAnswered = payment.rings;
            payment.nextLookAt =
              refund && !isRepeatable(payment, refund, capabilities)
                ? after(now, PAUSE_MAX_SECONDS)
                : payment.payBy && payment.state === 'PENDING'
                  ? payment.payBy
                  : null;
          }
          return { payment, taken: null, told: null };
        }
        if (step === 'ABANDON')
          return {
            payment,
            taken: null,
            told: await this.parts.conclusions.abandoned(em, payment, payment.isCurrent ? 'TIMED_OUT' : 'NOT_PREPARED'),
          };

        return { payment, taken: this.take({ step, payment, refund }, now), told: null };
      },
      { name: 'take-payment-step' },
    );
    if (taken.told) this.parts.tell(taken.told);
    return taken;
  }

  /** Calls the provider and concludes. */
  private async make(taken: Taken): Promise<Made> {
    const { step, payment, refund } = taken;
    const provider = this.providerOf(payment);
    const order = this.orderOf(payment);
    switch (step) {
      case 'APPROVE': {
        this.parts.reached('approval-recorded');
        const approved = await provider.approve(order, payment.customerAuthorization ?? {});
        this.parts.reached('approval-answered');
        const isAnswered = payment.rings === payment.ringsAnswered;
        if (approved.outcome === 'DONE' && isAnswered && (await this.bookPlainly(payment, approved.captured, payment.rings)))
          return { payment, goesOn: false };
        return this.conclude(taken, (em, locked) => this.afterApproval(em, locked, payment, approved));
      }
      case 'FIND': {
        const found = (await provider.find?.(order)) ?? UNASKABLE;
        this.parts.reached('find-answered');
        if (found.outcome === 'CAPTURED' && found.refundedMinor === 0 && (await this.bookPlainly(payment, found.captured, payment.rings)))
          return { payment, goesOn: false };
        return this.conclude(taken, (em, locked) => this.afterFinding(em, locked, taken, found));
      }
      case 'VOID': {
        const voided = (await provider.void?.(order, payment.customerAuthorization ?? {})) ?? UNASKABLE;
        this.parts.reached('void-answered');
        return this.conclude(taken, (em, locked) => this.afterVoiding(em, locked, voided, payment.rings));
      }
      case 'REFUND': {
        if (!refund) throw new Error(`Payment ${payment.id} has no open refund to send.`);
        this.parts.reached('refund-recorded');
        const { capturedMinor, refundedMinor } = payment;
        const { id: refundId, amountMinor, reason } = refund;
        const refunded = await provider.refund(order, { refundId, amountMinor, capturedMinor, refundedMinor, reason });
        this.parts.reached('refund-answered');
        return this.conclude(taken, (em, locked) => this.afterRefund(em, locked, refundId, refunded));
      }
      case 'ABANDON':
        throw new Error('Abandoning asks nobody.');
      default:
        return step satisfies never;
    }
  }

  /** Whether a refund was sent, has no answer, and can neither be asked about nor sent again: only a person can say what became of it. */
  isStranded(payment: Payment, refund: Refund, now: Date): boolean {
    const { capabilities } = this.providerOf(payment);
    return refund.sentAt != null && !isBusy(payment, now) && !capabilities.statusQuery && !isRepeatable(payment, refund, capabilities);
  }

  /** The end of almost every payment, together with others that end at this moment. False when it is not so plain; then it is concluded by itself. */
  private async bookPlainly(payment: Payment, captured: Captured, ringsAnswered: number): Promise<boolean> {
    if (payment.state !== 'PENDING' || !payment.isCurrent || !(await this.parts.booking.book({ payment, captured, ringsAnswered })))
      return false;
    this.parts.reached('payment-concluded');
    return true;
  }

  private async conclude(taken: Taken, decide: Decide): Promise<Made> {
    const { payment } = taken;
    try {
      return await this.concludeWith(payment.isCurrent ? null : await this.parts.conclusions.rescuePlan(payment), taken, decide);
    } catch (error) {
      if (!(error instanceof RescuePlanMissingError)) throw error;
      return this.concludeWith(await this.parts.conclusions.rescuePlan(payment), taken, decide);
    }
  }

  /** `rescue` is read before the transaction: inside, it would take a second connection from the pool. */
  private async concludeWith(rescue: RescuePlan | null, { step, payment: asked }: Taken, decide: Decide): Promise<Made> {
    const concluded = await this.parts.database.transact<Made & Decided>(
      async (em) => {
        const { payment, now } = await lockPayment(em, asked.id);
        // Ours still, unless the call took longer than any may: then another is at it, and what we heard is still true.
        if (payment.busyUntil?.getTime() === asked.busyUntil?.getTime()) payment.busyUntil = null;
        const decided = { payment, ...(await decide(em, { payment, now, rescue })) };
        const { opened } = decided.told ?? {};
        if (opened) return { ...decided, goesOn: true, taken: this.takeRefund(payment, opened, now) };
        // Only what the provider says when it is asked answers those who rang: who rang before something else was sent is asked about when that is over.
        const isOver = payment.state !== 'PENDING' && payment.state !== 'REFUNDING';
        if (step === 'REFUND' && !isOver) return decided;
        if (payment.rings === (isOver && (step === 'APPROVE' || step === 'REFUND') ? asked.ringsAnswered : asked.rings)) return decided;
        // Whoever rang meanwhile was sent away, and may know of more than this answer: it is asked about now, whatever was concluded.
        payment.nextLookAt = now;
        return { ...decided, goesOn: true };
      },
      { name: 'conclude-payment' },
    );
    this.parts.reached(concluded.told?.isRefund ? 'refund-concluded' : 'payment-concluded');
    if (concluded.told) this.parts.tell(concluded.told);
    return concluded;
  }

  private async afterApproval(em: EntityManager, { payment, now, rescue }: Concluding, asked: Payment, approved: Approved) {
    switch (approved.outcome) {
      case 'DONE':
        return ended(await this.parts.conclusions.captured(em, payment, approved.captured, 0, rescue));
      case 'REFUSED':
        // An answer from before somebody found out more is not news.
        if (payment.approvingAt?.getTime() !== asked.approvingAt?.getTime()) return nothing(false);
        return ended(await this.parts.conclusions.refused(em, payment, approved.code));
      case 'UNKNOWN':
        if (approved.reason === 'NOT_SENT') {
          payment.approvingAt = null;
          if (payment.state !== 'PENDING') {
            // It was a second chance already: it is left, until the customer comes again.
            payment.customerAuthorization = null;
            payment.nextLookAt = null;
            return nothing(false);
          }
          if (this.isTooLate(payment, now)) return ended(await this.parts.conclusions.refused(em, payment, NOT_APPROVED));
          this.pause(payment, now);
          return nothing(false);
        }
        payment.nextLookAt = now;
        return nothing(true);
    }
  }

  private async afterFinding(em: EntityManager, { payment, now, rescue }: Concluding, asked: Taken, found: Found) {
    const refund = payment.state === 'REFUNDING' ? await em.findOneOrFail(Refund, { paymentId: payment.id, state: 'OPEN' }) : null;
    // Opened or sent since we asked: this answer says nothing of it, and whoever sends it concludes it.
    if (refund && (refund.id !== asked.refund?.id || refund.sentAt?.getTime() !== asked.refund.sentAt?.getTime())) return nothing(false);
    if (found.outcome !== 'UNKNOWN') payment.ringsAnswered = Math.max(payment.ringsAnswered, asked.payment.rings);
    if (found.outcome === 'UNKNOWN') {
      // The customer came back while we asked: there is something better to do than to ask again.
      if (payment.state === 'PENDING' && payment.customerAuthorization && !payment.approvingAt) {
        payment.nextLookAt = now;
        return nothing(true);
      }
      this.pause(payment, now);
      // Where no money moves without us and none was asked for, the place need not wait for an answer.
      const couldMove =
        payment.approvingAt != null || payment.customerAuthorization != null || this.providerOf(payment).capabilities.capturesByItself;
      if (payment.state === 'PENDING' && !couldMove && payment.payBy && payment.payBy <= now)
        return ended(await this.parts.conclusions.abandoned(em, payment, 'TIMED_OUT'));
      return nothing(false);
    }
    switch (payment.state) {
      case 'PENDING':
        return this.afterFindingPending(em, { payment, now, rescue }, found);
      case 'REFUNDING': {
        if (!refund) throw new Error(`Payment ${payment.id} has no open refund that was asked about.`);
        if (found.outcome === 'CAPTURED' && found.refundedMinor >= payment.refundedMinor + refund.amountMinor) {
          const told = await this.parts.conclusions.refunded(em, payment, refund);
          // More than ours: somebody gave the rest back in the provider's console.
          const elsewhere = await this.parts.conclusions.refundedElsewhere(em, payment, found.refundedMinor);
          return ended({ ...told, pools: [...told.pools, ...(elsewhere?.pools ?? [])] });
        }
        // It did not happen: it is sent again, guarded against a first one that is still on its way.
        refund.sentAt = null;
        this.pause(payment, now);
        return nothing(false);
      }
      case 'APPROVED':
      case 'REFUNDED':
        payment.nextLookAt = null;
        return ended(
          found.outcome === 'CAPTURED' ? await this.parts.conclusions.refundedElsewhere(em, payment, found.refundedMinor) : null,
        );
      case 'REFUSED':
      case 'ABANDONED':
        if (found.outcome === 'CAPTURED')
          return ended(await this.parts.conclusions.captured(em, payment, found.captured, found.refundedMinor, rescue));
        this.parts.conclusions.lookAgainLate(payment, now);
        return nothing(false);
      default:
        return payment.state satisfies never;
    }
  }

  private async afterFindingPending(
    em: EntityManager,
    { payment, now, rescue }: Concluding,
    found: Exclude<Found, { outcome: 'UNKNOWN' }>,
  ) {
    switch (found.outcome) {
      case 'CAPTURED':
        return ended(await this.parts.conclusions.captured(em, payment, found.captured, found.refundedMinor, rescue));
      case 'NONE':
        return ended(await this.parts.conclusions.refused(em, payment, found.code));
      case 'AUTHORIZED':
      case 'WAITING': {
        const wasSent = payment.approvingAt != null;
        if (this.isTooLate(payment, now))
          return ended(
            wasSent || payment.customerAuthorization
              ? await this.parts.conclusions.refused(em, payment, NOT_APPROVED)
              : await this.parts.conclusions.abandoned(em, payment, 'TIMED_OUT'),
          );
        // The approval did not take effect; the provider takes it only once, so it can be sent again.
        payment.approvingAt = null;
        if (found.outcome === 'AUTHORIZED') payment.customerAuthorization ??= found.authorization;
        if (wasSent) this.pause(payment, now);
        else
          payment.nextLookAt = payment.customerAuthorization
            ? now
            : payment.payBy && payment.payBy > now
              ? payment.payBy
              : after(now, this.options.lookAgainSeconds);
        return nothing(!wasSent && payment.customerAuthorization != null);
      }
      default:
        return found satisfies never;
    }
  }

  private async afterVoiding(em: EntityManager, { payment, now }: Locked, voided: Voided, rings: number) {
    if (voided.outcome !== 'UNKNOWN') payment.ringsAnswered = Math.max(payment.ringsAnswered, rings);
    switch (voided.outcome) {
      case 'VOIDED':
        return ended(await this.parts.conclusions.voided(em, payment));
      case 'NONE':
        if (payment.state !== 'PENDING') {
          // Nothing was taken for what ended without money: otherwise it would be voided again whenever the lease ran out.
          this.parts.conclusions.lookAgainLate(payment, now);
          return nothing(false);
        }
        return ended(await this.parts.conclusions.refused(em, payment, NOT_APPROVED));
      case 'UNKNOWN':
        this.pause(payment, now);
        return nothing(false);
    }
  }

  private async afterRefund(em: EntityManager, { payment, now }: Locked, refundId: string, refunded: Refunded) {
    const refund = await em.findOneOrFail(Refund, { id: refundId });
    if (refund.state !== 'OPEN') return nothing(false);
    switch (refunded.outcome) {
      case 'DONE':
        return ended(await this.parts.conclusions.refunded(em, payment, refund), true);
      case 'REFUSED':
        return ended(await this.parts.conclusions.refundRefused(em, payment, refund, refunded.code, now), true);
      case 'UNKNOWN':
        if (refunded.reason === 'NOT_SENT') {
          refund.sentAt = null;
          this.pause(payment, now);
          return nothing(false);
        }
        payment.nextLookAt = now;
        // Asked at once where it can be asked; where it can only be sent again, after a pause.
        if (!this.providerOf(payment).capabilities.statusQuery) this.pause(payment, now);
        return nothing(this.providerOf(payment).capabilities.statusQuery);
    }
  }

  /** An approval that still has no effect so long after the customer's time is over is given up. */
  private isTooLate(payment: Payment, now: Date): boolean {
    const graceSeconds = payment.customerAuthorization ? this.options.callSeconds : 0;
    return payment.payBy != null && after(payment.payBy, graceSeconds) <= now;
  }

  private pause(payment: Payment, now: Date): void {
    payment.nextLookAt = after(now, Math.min(PAUSE_MAX_SECONDS, this.options.lookAgainSeconds * 2 ** Math.min(payment.looks, 20)));
    payment.looks += 1;
  }
}

const isOpen = (payment: Payment) => payment.state === 'PENDING' && payment.isCurrent;

/**
 * Keeps what the browser brought, once. For a payment whose place was given up meanwhile only when there is a place to be had: otherwise it is better not
 * to take the money than to give it back.
 */
function acceptAuthorization(payment: Payment, authorization: Authorization, isRescuable: boolean, now: Date): void {
  if (payment.customerAuthorization || payment.approvingAt) return;
  if (!isOpen(payment) && !isRescuable) return;
  payment.customerAuthorization = authorization;
  payment.nextLookAt = now;
}

/** What is concluded from: the locked payment, and where else its customer could get a place if it is not the current one any more. */
interface Concluding extends Locked {
  rescue: RescuePlan | null;
}

/** What is concluded from an answer, and whether there is more to do at once. */
interface Decided {
  told: Told | null;
  goesOn: boolean;
}
type Decide = (em: EntityManager, locked: Concluding) => Promise<Decided>;

/** The payment after a step, whether to go on at once, and with what if that is taken already. */
interface Made {
  payment: Payment;
  goesOn: boolean;
  taken?: Taken;
}

export interface Locked {
  payment: Payment;
  /** By the database's clock. */
  now: Date;
}

/** A payment under its lock, in the caller's transaction. Locks go in one order: payment, quotas, holds, pools, ledger accounts. */
export async function lockPayment(em: EntityManager, id: string): Promise<Locked> {
  const payment = await em.findOneOrFail(Payment, { id }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  return { payment, now: payment.readAt };
}

export const after = (moment: Date, seconds: number) => new Date(moment.getTime() + seconds * 1_000);

const PAYMENT = 'select *, clock_timestamp() as read_at from payment where id = $1';

/** The clock is cut to milliseconds: these instants are compared with what this process reads of them. */
const TAKE_APPROVAL = `
  update payment p
  set customer_authorization = $2, approving_at = c.now, busy_until = c.now + make_interval(secs => $3), next_look_at = c.now + make_interval(secs => $3)
  from (select date_trunc('milliseconds', clock_timestamp()) as now) c
  where p.id = $1 and p.state = 'PENDING' and p.is_current and p.provider is not null and p.customer_authorization is null and p.approving_at is null
    and (p.busy_until is null or p.busy_until <= c.now)
  returning p.*, c.now as read_at`;

const UNASKABLE = { outcome: 'UNKNOWN', reason: 'UNLISTED' } as const;

const ended = (told: Told | null, isRefund = false): Decided => ({ told: told && { ...told, isRefund }, goesOn: false });
const nothing = (goesOn: boolean): Decided => ({ told: null, goesOn });
