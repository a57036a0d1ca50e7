import { Field, Int, ObjectType } from 'type-graphql';
import type { Locale } from '../../platform/locale.ts';
import { Refusal } from '../../platform/refusal.ts';
import { DISPLAY_NAME_CHARACTERS_MAX } from './display-name.ts';

@ObjectType('InvalidEmailError', { implements: Refusal, description: 'The text is not an e-mail address.' })
export class InvalidEmailError extends Refusal {
  readonly code = 'INVALID_EMAIL';

  override text(locale: Locale): string {
    return locale === 'ko' ? '이메일 주소 형식이 올바르지 않습니다.' : 'This is not an e-mail address. Check it and try again.';
  }
}

@ObjectType('InvalidPasswordError', { implements: Refusal, description: 'The new password is too short, too long or not text.' })
export class InvalidPasswordError extends Refusal {
  readonly code = 'INVALID_PASSWORD';

  @Field(() => Int, { description: 'The fewest characters a password may have.' })
  readonly charactersMin: number;

  @Field(() => Int, { description: 'The most characters a password may have.' })
  readonly charactersMax: number;

  constructor(allowed: { min: number; max: number }) {
    super();
    this.charactersMin = allowed.min;
    this.charactersMax = allowed.max;
  }

  override text(locale: Locale): string {
    return locale === 'ko'
      ? `비밀번호는 ${this.charactersMin}자 이상 ${this.charactersMax}자 이하여야 합니다.`
      : `A password needs ${this.charactersMin} to ${this.charactersMax} characters.`;
  }
}

@ObjectType('InvalidDisplayNameError', {
  implements: Refusal,
  description: 'The display name is empty, too long, or has characters that cannot be shown.',
})
export class InvalidDisplayNameError extends Refusal {
  readonly code = 'INVALID_DISPLAY_NAME';

  @Field(() => Int, { description: 'The most characters a display name may have.' })
  readonly charactersMax: number = DISPLAY_NAME_CHARACTERS_MAX;

  override text(locale: Locale): string {
    return locale === 'ko'
      ? `표시 이름은 보이는 글자로 1자 이상 ${this.charactersMax}자 이하여야 합니다.`
      : `A display name needs 1 to ${this.charactersMax} characters that can be shown.`;
  }
}

@ObjectType('InvalidCredentialsError', {
  implements: Refusal,
  description: 'No account has this e-mail address with this password. It does not say which of the two is wrong.',
})
export class InvalidCredentialsError extends Refusal {
  readonly code = 'INVALID_CREDENTIALS';

  override text(locale: Locale): string {
    return locale === 'ko' ? '이메일 또는 비밀번호가 올바르지 않습니다.' : 'The e-mail address or the password is wrong.';
  }
}

@ObjectType('RateLimitedError', {
  implements: Refusal,
  description: 'Too many attempts for this e-mail address, from this network address or by this member. Nothing was tried.',
})
export class RateLimitedError extends Refusal {
  readonly code = 'RATE_LIMITED';

  @Field(() => Int, { description: 'Seconds after which an attempt is possible again.' })
  readonly retryAfterSeconds: number;

  constructor(retryAfterSeconds: number) {
    super();
    this.retryAfterSeconds = retryAfterSeconds;
  }

  override text(locale: Locale): string {
    return locale === 'ko'
      ? `시도가 너무 많습니다. ${this.retryAfterSeconds}초 후에 다시 시도하세요.`
      : `Too many attempts. Try again in ${this.retryAfterSeconds} seconds.`;
  }
}

@ObjectType('TooBusyError', {
  implements: Refusal,
  description: 'More people are signing in or up at this moment than can be served. Nothing was tried and no attempt was counted.',
})
export class TooBusyError extends Refusal {
  readonly code = 'TOO_BUSY';

  /** A full line of 100 took 1.2 s on two cores. */
  @Field(() => Int, { description: 'Seconds to wait before the next attempt.' })
  readonly retryAfterSeconds: number = 2;

  override text(locale: Locale): string {
    return locale === 'ko'
      ? `지금 접속이 많습니다. ${this.retryAfterSeconds}초 후에 다시 시도하세요.`
      : `Many people are signing in right now. Try again in ${this.retryAfterSeconds} seconds.`;
  }
}

@ObjectType('InvalidRefreshTokenError', {
  implements: Refusal,
  description: 'The refresh token is not known, or its session has ended or expired.',
})
export class InvalidRefreshTokenError extends Refusal {
  readonly code = 'INVALID_REFRESH_TOKEN';

  override text(locale: Locale): string {
    return locale === 'ko' ? '로그인이 만료되었습니다. 다시 로그인하세요.' : 'This session has ended. Sign in again.';
  }
}

@ObjectType('RefreshTokenJustUsedError', {
  implements: Refusal,
  description:
    'The refresh token was exchanged some seconds ago, most likely by another tab of the same browser. The session goes on: use the tokens that call received.',
})
export class RefreshTokenJustUsedError extends Refusal {
  readonly code = 'REFRESH_TOKEN_JUST_USED';

  override text(locale: Locale): string {
    return locale === 'ko'
      ? '방금 다른 탭에서 로그인이 갱신되었습니다. 새 토큰으로 다시 시도하세요.'
      : 'Another tab has just refreshed this session. Try again with the tokens it received.';
  }
}

@ObjectType('RefreshTokenReusedError', {
  implements: Refusal,
  description:
    'The refresh token had been exchanged before: somebody may have copied it. The session was ended for everybody who holds a token of it.',
})
export class RefreshTokenReusedError extends Refusal {
  readonly code = 'REFRESH_TOKEN_REUSED';

  override text(locale: Locale): string {
    return locale === 'ko'
      ? '이미 사용된 토큰입니다. 안전을 위해 로그아웃되었으니 다시 로그인하세요.'
      : 'This token had been used before. For your safety the session was ended. Sign in again.';
  }
}

@ObjectType('MemberNotFoundError', { implements: Refusal, description: 'No member has this id.' })
export class MemberNotFoundError extends Refusal {
  readonly code = 'MEMBER_NOT_FOUND';

  override text(locale: Locale): string {
    return locale === 'ko' ? '해당 회원을 찾을 수 없습니다.' : 'There is no member with this id.';
  }
}

@ObjectType('LastAdminError', { implements: Refusal, description: 'The member is the last administrator and has to stay one.' })
export class LastAdminError extends Refusal {
  readonly code = 'LAST_ADMIN';

  override text(locale: Locale): string {
    return locale === 'ko'
      ? '마지막 관리자의 권한은 바꿀 수 없습니다. 먼저 다른 관리자를 지정하세요.'
      : 'This is the last administrator. Make somebody else an administrator first.';
  }
}
