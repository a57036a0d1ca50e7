import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Migration } from '@mikro-orm/migrations';
import { pino } from 'pino';
import { DatabaseUnusableError, migrate, openOrm, pendingMigrations } from '../../../src/platform/database/orm.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { urlOf } from '../../support/sql.ts';

failOnLeaks();

const logger = pino({ level: 'silent' });

class Slow extends Migration {
  override up(): void {
    this.addSql('select pg_sleep(0.3)');
    this.addSql('create table made_once (id int)');
  }
}
class Broken extends Migration {
  override up(): void {
    this.addSql('create table half_made (id int)');
    this.addSql('select 1 / 0');
  }
}

describe('migrations', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await testDatabase();
  });
  afterAll(() => db.close());

  test('of processes that start at once one migrates and the others find nothing left', async () => {
    const migrations = [{ name: 'slow', class: Slow }];
    expect(await pendingMigrations(db.database.orm, migrations)).toEqual(['slow']);

    const ran = await Promise.all([1, 2, 3].map(() => migrate({ url: db.url, migrations, logger })));

    expect(ran.flat()).toEqual(['slow']);
    expect(await pendingMigrations(db.database.orm, migrations)).toEqual([]);
    expect(await db.query(`select name from migration where name = 'slow'`)).toEqual([{ name: 'slow' }]);
  });

  test('one that fails leaves nothing of itself, and is pending still', async () => {
    const migrations = [{ name: 'broken', class: Broken }];

    await expect(migrate({ url: db.url, migrations, logger })).rejects.toThrow('division by zero');

    expect(await db.query(`select to_regclass('half_made') as table`)).toEqual([{ table: null }]);
    expect(await pendingMigrations(db.database.orm, migrations)).toEqual(['broken']);
  });

  describe('a database that cannot be used is named in one sentence without its password', () => {
    const sentenceOf = async (url: string): Promise<string> => {
      const error: unknown = await openOrm({ url, entities: [], logger }).then(
        (orm) => orm.close(true),
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(DatabaseUnusableError);
      return (error as Error).message;
    };

    test('wrong password', async () => {
      const url = new URL(db.url);
      url.password = 'hunter2';
      expect(await sentenceOf(url.toString())).toBe(
        `The database ${url.pathname.slice(1)} at ${url.host} refused the user or password in DATABASE_URL: correct them.`,
      );
    });

    test('no such database', async () => {
      const url = urlOf(db.url, 'nowhere');
      expect(await sentenceOf(url)).toBe(
        `The database nowhere at ${new URL(url).host} does not exist: create it (createdb), or correct the name in DATABASE_URL.`,
      );
    });

    test('nobody listens', async () => {
      expect(await sentenceOf('postgres://u:hunter2@127.0.0.1:1/x')).toBe(
        'The database x at 127.0.0.1:1 refuses connections: is PostgreSQL running there, and is the port in DATABASE_URL right?',
      );
    });

    test('no such host', async () => {
      expect(await sentenceOf('postgres://u:hunter2@lastseat.invalid/x')).toBe(
        'The database x at lastseat.invalid:5432 cannot be found, its host name does not resolve: correct DATABASE_URL.',
      );
    });
  });
});
