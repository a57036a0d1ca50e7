/** Jest runs as ESM (MikroORM and graphql-ws are ESM); swc compiles in about a second where ts-jest takes nine. */
export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest'] },
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.data/'],
  // type-graphql asks for it when the first decorated class is imported.
  setupFiles: ['reflect-metadata'],
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  // Half of the time a test waits: for a provider's silence, a deadline, a rival. With two at a time two cores were idle for 4 of 10 seconds.
  maxWorkers: 3,
  testTimeout: 60_000,
};
