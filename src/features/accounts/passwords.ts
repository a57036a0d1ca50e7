import { randomBytes } from 'node:crypto';
import { hash, needsRehash, verify } from 'argon2';
import type { PasswordCost } from './accounts.config.ts';
import { TooBusyError } from './accounts.errors.ts';

export const PASSWORD_CHARACTERS = { min: 10, max: 200 } as const;

/** Passwords as argon2id hashes, with a bound on the memory and the threads that a flood of sign-ins can take. */
export class Passwords {
  /** How many argon2 runs there were, by purpose. */
  readonly runs = { hash: 0, verify: 0 };

  private admitted = 0;
  private atWork = 0;
  private readonly line: (() => void)[] = [];

  private constructor(
    private readonly cost: PasswordCost,
    /** The hash of a password nobody knows: what an unknown account is verified against, so that it costs what a known one costs. */
    private readonly decoy: string,
  ) {}

  static async create(cost: PasswordCost): Promise<Passwords> {
    return new Passwords(cost, await hash(randomBytes(32), argon2Options(cost)));
  }

  /**
   * Runs work that will hash or verify, or answers TooBusyError when `admittedMax` others are at it. Asked before anything else is done,
   * so that a flood costs neither a query nor a counted attempt.
   */
  async admit<T>(work: () => Promise<T>): Promise<T | TooBusyError> {
    if (this.admitted >= this.cost.admittedMax) return new TooBusyError();
    this.admitted++;
    try {
      return await work();
    } finally {
      this.admitted--;
    }
  }

  hash(password: string): Promise<string> {
    this.runs.hash++;
    return this.inTurn(() => hash(normalised(password), argon2Options(this.cost)));
  }

  /** False for a wrong password and, after the same work, for an account that has none. */
  async verify(passwordHash: string | null, password: string): Promise<boolean> {
    this.runs.verify++;
    const matches = await this.inTurn(() => verify(passwordHash ?? this.decoy, normalised(password)));
    return matches && passwordHash !== null;
  }

  /** True when a stored hash was made with other costs than today's, and would give its account away by the time it takes. */
  isOutdated(passwordHash: string): boolean {
    return needsRehash(passwordHash, argon2Options(this.cost));
  }

  private async inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.atWork < this.cost.atOnceMax) this.atWork++;
    else await new Promise<void>((begin) => this.line.push(begin));
    try {
      return await work();
    } finally {
      // The place is handed on, not freed, so nobody can slip in between.
      const next = this.line.shift();
      if (next) next();
      else this.atWork--;
    }
  }
}

/** True when it has an allowed length and is text at all: lone surrogates would all become the same replacement character. */
export function isPossiblePassword(password: string): boolean {
  const { min, max } = PASSWORD_CHARACTERS;
  if (password.length > 2 * max || !password.isWellFormed()) return false;
  const characters = [...password].length;
  return characters >= min && characters <= max;
}

/** Keyboards write the same Korean syllable or accent in different ways; NFKC is the form NIST SP 800-63B names. */
const normalised = (password: string) => password.normalize('NFKC');

const argon2Options = ({ memoryKib, passes }: PasswordCost) =>
  ({ type: 2, memoryCost: memoryKib, timeCost: passes, parallelism: 1 }) as const;
