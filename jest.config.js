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
  // Servers, databases and load share the machine with the tests: two at a time is what two cores carry.
  maxWorkers: 2,
  testTimeout: 60_000,
};
