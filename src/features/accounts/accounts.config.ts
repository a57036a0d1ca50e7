/** The slice of the configuration that accounts need. Everything but the secret has a default. */
export interface AccountsConfig {
  /** Signs access tokens (HS256); at least 32 bytes, the same on every node. */
  accessTokenSecret: string;
  /** How long an access token is good for. Short, though sign-out does not wait for it: a leaked log line is worth little. */
  accessTokenSeconds: number;
  /** How long a session lasts after signing in. Refreshing does not extend it. */
  sessionSeconds: number;
  passwordCost: PasswordCost;
  attempts: AttemptMaxima;
}

export interface PasswordCost {
  memoryKib: number;
  passes: number;
  /** How many passwords are hashed at once; the rest wait in line. */
  atOnceMax: number;
  /** How many callers may be in line or at work; the next one is told to come back. */
  admittedMax: number;
}

export interface AttemptMaxima {
  /** Failed sign-ins for one e-mail address, and from one network address, within the window. */
  signInsPerAccount: number;
  signInsPerAddress: number;
  /** Sign-ups from one network address, whatever came of them. */
  signUpsPerAddress: number;
  /** Look-ups of e-mail addresses that found nobody, by one member. */
  lookUpsPerMember: number;
  windowSeconds: number;
}

export const ACCOUNTS_DEFAULTS: Omit<AccountsConfig, 'accessTokenSecret'> = {
  accessTokenSeconds: 600,
  sessionSeconds: 30 * 86_400,
  // 19 MiB and two passes are what OWASP asks of argon2id. Two at once leave two of libuv's four threads to files and DNS.
  passwordCost: { memoryKib: 19_456, passes: 2, atOnceMax: 2, admittedMax: 100 },
  attempts: { signInsPerAccount: 10, signInsPerAddress: 100, signUpsPerAddress: 30, lookUpsPerMember: 20, windowSeconds: 900 },
};
