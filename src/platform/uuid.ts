/** Whether a value is a UUID as we write them: 36 characters, in lower case. */
export const isUuid = (value: unknown): value is string => typeof value === 'string' && UUID.test(value);

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
