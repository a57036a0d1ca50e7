import { Field, ObjectType } from 'type-graphql';
import type { Locale } from '../../platform/locale.ts';
import { Refusal } from '../../platform/refusal.ts';

@ObjectType('PaymentRefusedError', {
  implements: Refusal,
  description: 'The provider refused the payment. No money was taken and the place went back.',
})
export class PaymentRefusedError extends Refusal {
  readonly code = 'PAYMENT_REFUSED';
  constructor(providerCode: string) {
    super();
    this.providerCode = providerCode;
  }
  @Field(() => String, { description: "The provider's own code for the reason." })
  readonly providerCode: string;
  text(locale: Locale) {
    return locale === 'ko'
      ? '결제가 거절되어 자리가 반환되었습니다. 금액은 청구되지 않았습니다. 다시 신청해 주세요.'
      : 'The payment was refused, nothing was charged and the place went back. Claim again.';
  }
}

@ObjectType('PaymentProviderUnavailableError', { implements: Refusal, description: 'This provider is not set up on this server.' })
export class PaymentProviderUnavailableError extends Refusal {
  readonly code = 'PAYMENT_PROVIDER_UNAVAILABLE';
  text(locale: Locale) {
    return locale === 'ko'
      ? '현재 사용할 수 없는 결제 수단입니다. 다른 결제 수단을 선택해 주세요.'
      : 'This provider is not set up on this server. Choose another one; your hold was not touched.';
  }
}
