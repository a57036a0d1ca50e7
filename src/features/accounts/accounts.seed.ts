import type { AccountsService } from './accounts.service.ts';

export const DEMO_PASSWORD = 'lastseat-demo';
export const DEMO_ACCOUNTS = [
  { email: 'member@lastseat.test', displayName: 'Mina Member', role: 'MEMBER', gender: 'FEMALE' },
  { email: 'organizer@lastseat.test', displayName: 'Oh Organizer', role: 'ORGANIZER', gender: 'MALE' },
  { email: 'admin@lastseat.test', displayName: 'Ahn Admin', role: 'ADMIN', gender: null },
] as const;

/** Makes the demo accounts where they are missing. Their password is public: only for a database that nobody else can reach. */
export async function seedAccounts(accounts: AccountsService): Promise<void> {
  for (const account of DEMO_ACCOUNTS) await accounts.ensureMember({ ...account, password: DEMO_PASSWORD, locale: 'en' });
}
