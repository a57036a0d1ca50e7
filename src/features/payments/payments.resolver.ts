import { Arg, Ctx, FieldResolver, ID, Query, Resolver, Root } from 'type-graphql';
import { mayReadOf, RequiresRole, viewerOf } from '../../platform/graphql/authorization.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { Money } from '../../platform/graphql/money.ts';
import { toNodeId, uuidOf } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { Payment } from './payment.entity.ts';
import { PaymentType } from './payment.types.ts';

/** A payment its reader may see: its member, or an administrator. */
export async function visiblePayment(context: RequestContext, id: string): Promise<Payment | null> {
  const payment = context.viewer ? await context.em.findOne(Payment, { id }) : null;
  return payment && mayReadOf(context.viewer, payment.memberId) ? payment : null;
}

@Resolver(() => PaymentType)
export class PaymentsResolver {
  @RequiresRole()
  @Price(1)
  @Query(() => PaymentType, {
    nullable: true,
    description:
      'A payment of yours; null if there is none with this id. While the answer of the provider is unknown it says `PENDING`, never failed.',
  })
  payment(@Arg('id', () => ID, { description: 'The id of the payment.' }) id: string, @Ctx() context: RequestContext) {
    viewerOf(context);
    return visiblePayment(context, uuidOf(id, 'Payment'));
  }

  @FieldResolver(() => ID)
  id(@Root() payment: Payment): string {
    return toNodeId('Payment', payment.id);
  }

  @FieldResolver(() => Money)
  amount(@Root() payment: Payment): Money {
    return { amountMinor: payment.amountMinor, currency: payment.currency };
  }
}
