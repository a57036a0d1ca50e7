import { startTestPostgres } from './postgres.ts';

export default async function globalSetup(): Promise<void> {
  (globalThis as { testPostgres?: unknown }).testPostgres = await startTestPostgres();
}
