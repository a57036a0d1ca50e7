import config, { LONG } from './jest.config.js';

const { testMatch: _testMatch, testPathIgnorePatterns: _ignored, ...same } = config;

/** What `npm test` leaves out. */
export default { ...same, testRegex: LONG.map((file) => file.replace('<rootDir>/', '')) };
