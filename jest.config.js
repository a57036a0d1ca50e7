/** Programmes of faults and races that take minutes, most of them with processes that are killed: for `npm run test:long`. */
export const LONG = ['test/faults/.+', 'test/races/(late-)?payment-.+', 'test/features/bookings/webhook-orders'].map(
  (file) => `<rootDir>/${file}.test.ts$`,
);

/** Jest runs as ESM (MikroORM and graphql-ws are ESM); swc compiles in about a second where ts-jest takes nine. */
export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest'] },
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testPathIgnorePatterns: LONG,
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.data/'],
  // type-graphql asks for it when the first decorated class is imported.
  setupFiles: ['reflect-metadata', '<rootDir>/test/support/suppressed-error.ts'],
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  // Servers, databases and load share the machine with the tests: two at a time is what two cores carry. With three, answers that must come in time do not.
  maxWorkers: 2,
  // Only what hangs should fail for its time: a machine may be ten times slower than the one a test was written on.
  testTimeout: 240_000,
};
