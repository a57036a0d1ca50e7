import type pg from 'pg';
import { Arg, Args, Ctx, FieldResolver, ID, Query, Resolver, Root } from 'type-graphql';
import { mayReadOf, RequiresRole, viewerOf } from '../../platform/graphql/authorization.ts';
import { ConnectionArgs, connectionById } from '../../platform/graphql/connections.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { inOrderOf, loaderOf } from '../../platform/graphql/loaders.ts';
import { Money } from '../../platform/graphql/money.ts';
import { toNodeId, uuidOf } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { HoldType, holdById } from '../holds/index.ts';
import { Payment } from './payment.entity.ts';
import { CheckoutType, PaymentConnection, PaymentProviderEnum, PaymentType, ProviderExchangeType, RefundType } from './payment.types.ts';
import type { ProviderName } from './payment-provider.ts';
import { Refund } from './refund.entity.ts';

const LISTED_MAX = 100;
/** Their bodies may have 64 KiB each. */
const EXCHANGES_MAX = 20;

/** A payment its reader may see: its member, or an administrator. */
export async function visiblePayment(context: RequestContext, id: string): Promise<Payment | null> {
  const payment = context.viewer ? await context.em.findOne(Payment, { id }) : null;
  return payment && mayReadOf(context.viewer, payment.memberId) ? payment : null;
}

const money = (amountMinor: number, currency: string) => ({ amountMinor, currency });

const refundsOf = loaderOf(async (context, paymentIds: readonly string[]) => {
  const refunds = await context.em.find(
    Refund,
    { paymentId: { $in: [...paymentIds] } },
    { orderBy: { createdAt: 'asc', id: 'asc' }, limit: LISTED_MAX * paymentIds.length },
  );
  return paymentIds.map((id) => refunds.filter((refund) => refund.paymentId === id).slice(0, LISTED_MAX));
});

/** A payment by its id, whoever's it is; null for an unknown one. Check the member before showing it. */
export const paymentById = loaderOf(async (context, ids: readonly string[]) =>
  inOrderOf(ids, await context.em.find(Payment, { id: { $in: [...ids] } }), (payment) => payment.id),
);

@Resolver(() => PaymentType)
export class PaymentsResolver {
  constructor(
    private readonly pool: pg.Pool,
    private readonly offered: readonly ProviderName[],
  ) {}

  private readonly exchangesOf = loaderOf(async (_context, paymentIds: readonly string[]): Promise<ProviderExchangeType[][]> => {
    const { rows } = await this.pool.query({ name: 'exchanges_of_payments', text: EXCHANGES, values: [paymentIds, EXCHANGES_MAX] });
    return paymentIds.map((id) => rows.filter((row) => row.payment_id === id).map((row) => ({ ...row, at: new Date(row.at) })));
  });

  @Price(1, { size: 4 })
  @Query(() => [PaymentProviderEnum], { description: 'The providers this server offers, at most 4. Anyone may read it.' })
  paymentProviders(): readonly ProviderName[] {
    return this.offered;
  }

  @RequiresRole()
  @Price(1)
  @Query(() => PaymentType, {
    nullable: true,
    description:
      'A payment of yours; null if there is none with this id. While the outcome is unknown it says `PENDING`, never failed. Needs a signed-in member.',
  })
  payment(@Arg('id', () => ID, { description: 'The id of the payment.' }) id: string, @Ctx() context: RequestContext) {
    viewerOf(context);
    return visiblePayment(context, uuidOf(id, 'Payment'));
  }

  @RequiresRole()
  @Price(1, { multipliedBy: 'first' })
  @Query(() => PaymentConnection, { description: 'Your own payments, newest first, ended ones too. Needs a signed-in member.' })
  async myPayments(@Args(() => ConnectionArgs) args: ConnectionArgs, @Ctx() context: RequestContext) {
    const { memberId } = viewerOf(context);
    return connectionById(
      args,
      (after, limit) => context.em.find(Payment, { memberId, ...(after && { id: { $lt: after } }) }, { orderBy: { id: 'desc' }, limit }),
      () => context.em.count(Payment, { memberId }),
    );
  }

  @FieldResolver(() => ID)
  id(@Root() payment: Payment): string {
    return toNodeId('Payment', payment.id);
  }

  @FieldResolver(() => Money)
  amount(@Root() payment: Payment): Money {
    return money(payment.amountMinor, payment.currency);
  }

  @FieldResolver(() => Money)
  captured(@Root() payment: Payment): Money {
    return money(payment.capturedMinor, payment.currency);
  }

  @FieldResolver(() => Money)
  refunded(@Root() payment: Payment): Money {
    return money(payment.refundedMinor, payment.currency);
  }

  @FieldResolver(() => CheckoutType, { nullable: true })
  checkout(@Root() payment: Payment, @Ctx() context: RequestContext): CheckoutType | null {
    const { checkout } = payment;
    if (!checkout || payment.state !== 'PENDING' || !payment.isCurrent || payment.customerAuthorization) return null;
    if (context.viewer?.memberId !== payment.memberId) return null;
    // Sorted, because the database keeps no order of them: the same request must get the same answer.
    const fields = Object.entries(checkout.fields).sort(([one], [other]) => (one < other ? -1 : 1));
    if (checkout.method === 'POST') return { ...checkout, fields: fields.map(([name, value]) => ({ name, value })) };
    const url = new URL(checkout.url);
    for (const [name, value] of fields) url.searchParams.set(name, value);
    return { url: url.href, method: 'GET', fields: [] };
  }

  @FieldResolver(() => HoldType, { nullable: true })
  hold(@Root() payment: Payment, @Ctx() context: RequestContext) {
    return holdById(context).load(payment.holdId);
  }

  @FieldResolver(() => [RefundType])
  refunds(@Root() payment: Payment, @Ctx() context: RequestContext) {
    return refundsOf(context).load(payment.id);
  }

  @RequiresRole('ADMIN')
  @FieldResolver(() => [ProviderExchangeType], { nullable: true })
  exchanges(@Root() payment: Payment, @Ctx() context: RequestContext): Promise<ProviderExchangeType[]> {
    return this.exchangesOf(context).load(payment.id);
  }
}

@Resolver(() => RefundType)
export class RefundResolver {
  @FieldResolver(() => ID)
  id(@Root() refund: Refund): string {
    return toNodeId('Refund', refund.id);
  }

  @FieldResolver(() => Money)
  async amount(@Root() refund: Refund, @Ctx() context: RequestContext): Promise<Money> {
    const payment = await paymentById(context).load(refund.paymentId);
    return money(refund.amountMinor, payment?.currency ?? 'KRW');
  }
}

const EXCHANGES = `
  select e.* from unnest($1::uuid[]) as asked(id) cross join lateral (
    select payment_id, operation, outcome, code, status, request, request_body::text as "requestBody", response_body::text as "responseBody",
      latency_ms as "latencyMs", at
    from provider_exchange where payment_id = asked.id order by id desc limit $2) e`;
