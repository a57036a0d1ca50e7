import { Migration } from '@mikro-orm/migrations';

/** Instructors, monthly lessons and lockers. A lesson and a stock of lockers share the id of the pool that counts them. */
export class Migration20261121000300Lessons extends Migration {
  override up(): void {
    this.addSql(`
      create table instructor (
        id uuid primary key default uuidv7(),
        name text not null check (length(name) between 1 and 100),
        created_at timestamptz not null default now()
      );
      create table lesson (
        id uuid primary key references pool (id),
        title text not null check (length(title) between 1 and 200),
        level text not null check (level in ('BEGINNER', 'INTERMEDIATE', 'ADVANCED', 'MASTERS', 'AQUA_AEROBICS')),
        month char(7) not null check (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
        weekdays text[] not null check (cardinality(weekdays) between 1 and 7),
        starts_at char(5) not null check (starts_at ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'),
        ends_at char(5) not null check (ends_at ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'),
        lane int not null check (lane between 1 and 20),
        instructor_id uuid not null references instructor (id),
        created_at timestamptz not null default now(),
        check (starts_at < ends_at)
      );
      create index lesson_browse on lesson (month, starts_at, id);
      create index lesson_instructor on lesson (instructor_id);
      create table locker_stock (
        id uuid primary key references pool (id),
        month char(7) not null check (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
        gender text not null check (gender in ('MALE', 'FEMALE')),
        unique (month, gender)
      );
    `);
  }

  override down(): void {
    this.addSql('drop table locker_stock, lesson, instructor;');
  }
}
