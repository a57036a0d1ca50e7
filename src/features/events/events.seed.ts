import type { EntityManager } from '@mikro-orm/postgresql';
import type { Database } from '../../platform/database/database.ts';
import { DEMO_ACCOUNTS } from '../accounts/index.ts';
import type { CancellationPolicy } from '../holds/index.ts';
import type { SeatPlan, SeatPlans } from '../venues/index.ts';
import { insertPerformance } from './create-performance.ts';
import type { Category } from './event.entity.ts';
import { TIERS_MAX, type TierWish } from './event-rules.ts';

/** As the Korean theatres' association recommends it, simplified: the later, the less comes back. */
const CANCELLATION: CancellationPolicy = [
  { hoursBefore: 240, percent: 100 },
  { hoursBefore: 168, percent: 90 },
  { hoursBefore: 72, percent: 80 },
  { hoursBefore: 24, percent: 70 },
];

interface Show {
  title: string;
  body: string;
  category: Category;
  /** Which of the seat plans there are, from the smallest to the largest. */
  size: 'smallest' | 'middle' | 'largest';
  /** Of the best seats in won; each further zone costs a fifth less. Null: no numbered seats. */
  priceMinor: number | null;
  /** Places without numbers. */
  standing: { name: string; priceMinor: number; capacity: number } | null;
  minutes: number;
  /** When: so many days from today, and the hour in Seoul. */
  at: [days: number, hour: number][];
  /** So many days from today at 10:00 in Seoul; null: on sale. */
  opensInDays: number | null;
  perMemberMax: number;
}

/** What a city shows in some weeks. The largest opens later, as what is fought for does. */
const SHOWS: Show[] = [
  {
    title: '겨울밤의 재즈 콰르텟',
    body: '색소폰과 피아노, 콘트라베이스, 드럼이 가장 가까운 거리에서 들려주는 90분. 신청곡은 현장에서 받습니다.',
    category: 'CONCERT',
    size: 'smallest',
    priceMinor: 44_000,
    standing: null,
    minutes: 90,
    at: [
      [5, 20],
      [6, 20],
    ],
    opensInDays: null,
    perMemberMax: 4,
  },
  {
    title: '햄릿: 검은 방',
    body: '네 명의 배우가 한 방에서 나오지 않는 햄릿. 공연 시작 후에는 입장할 수 없습니다.',
    category: 'PLAY',
    size: 'smallest',
    priceMinor: 35_000,
    standing: null,
    minutes: 110,
    at: [
      [8, 20],
      [9, 15],
      [9, 19],
      [10, 15],
    ],
    opensInDays: null,
    perMemberMax: 8,
  },
  {
    title: '새벽의 농담 — 스탠드업 나이트',
    body: '다섯 명의 코미디언, 전석 자유석. 선착순 입장이며 19세 이상 관람가입니다.',
    category: 'COMEDY',
    size: 'smallest',
    priceMinor: null,
    standing: { name: '자유석', priceMinor: 25_000, capacity: 80 },
    minutes: 80,
    at: [
      [7, 21],
      [14, 21],
    ],
    opensInDays: null,
    perMemberMax: 4,
  },
  {
    title: '모차르트 레퀴엠 — 시민합창단 정기연주회',
    body: '시민합창단 80명과 시립교향악단이 함께하는 정기연주회. 공연 30분 전 로비에서 해설이 있습니다.',
    category: 'CLASSICAL',
    size: 'middle',
    priceMinor: 70_000,
    standing: null,
    minutes: 100,
    at: [[12, 19]],
    opensInDays: null,
    perMemberMax: 8,
  },
  {
    title: '창작 뮤지컬 〈막차〉',
    body: '마지막 지하철에서 만난 두 사람의 하룻밤. 인터미션 20분을 포함해 150분입니다.',
    category: 'MUSICAL',
    size: 'middle',
    priceMinor: 110_000,
    standing: null,
    minutes: 150,
    at: [
      [15, 19],
      [16, 14],
      [16, 19],
    ],
    opensInDays: null,
    perMemberMax: 4,
  },
  {
    title: '푸른 밤 — 데뷔 10주년 콘서트',
    body: '단 하루, 데뷔 10주년 콘서트. 스탠딩과 지정석이 함께 열리며 1인 2매까지 예매할 수 있습니다.',
    category: 'CONCERT',
    size: 'largest',
    priceMinor: 154_000,
    standing: { name: '스탠딩', priceMinor: 132_000, capacity: 600 },
    minutes: 150,
    at: [[30, 18]],
    opensInDays: 3,
    perMemberMax: 2,
  },
];

/**
 * Puts some events with performances of the next weeks into an empty database that has venues, for the organizer of the demonstration. Does nothing
 * where there are events or no venues. Two processes that start at once take turns.
 */
export async function seedEvents(database: Database, plans: SeatPlans, now: Date): Promise<void> {
  await database.transact(
    async (em) => {
      await em.execute('select pg_advisory_xact_lock(hashtextextended(?, 0))', ['seed events']);
      const places = await placesOf(em);
      const [organizer] = await em.execute<{ id: string }[]>('select id from member where email = ? and not exists (select from event)', [
        DEMO_ACCOUNTS.find(({ role }) => role === 'ORGANIZER')?.email ?? '',
      ]);
      if (!organizer || places.length === 0) return;
      for (const show of SHOWS) {
        const place = places[{ smallest: 0, middle: Math.floor((places.length - 1) / 2), largest: places.length - 1 }[show.size]] as Place;
        const plan = place.planId && show.priceMinor !== null ? await plans.planOf(place.planId) : null;
        await insertShow(em, show, { organizerId: organizer.id, venueId: place.venueId, plan, now });
      }
    },
    { name: 'seed-events' },
  );
}

interface Place {
  venueId: string;
  planId: string | null;
}

/** One for each venue, with its largest plan that can be priced, from the smallest to the largest; those without a plan first. */
function placesOf(em: EntityManager): Promise<Place[]> {
  return em.execute<Place[]>(
    `select v.id as "venueId", p.id as "planId" from venue v left join lateral (
       select p.id, count(*) as seats from seat_plan p join plan_seat s on s.plan_id = p.id where p.venue_id = v.id
       group by p.id having count(distinct s.zone) < ? order by seats desc, p.id limit 1) p on true
     order by p.seats nulls first, v.id`,
    [TIERS_MAX],
  );
}

interface ShowPlace {
  organizerId: string;
  venueId: string;
  plan: SeatPlan | null;
  now: Date;
}

async function insertShow(em: EntityManager, show: Show, { organizerId, venueId, plan, now }: ShowPlace): Promise<void> {
  const [event] = await em.execute<{ id: string }[]>(
    'insert into event (organizer_id, venue_id, title, body, category) values (?, ?, ?, ?, ?) returning id',
    [organizerId, venueId, show.title, show.body, show.category],
  );
  for (const [days, hour] of show.at) {
    const startsAt = inSeoul(now, days, hour);
    await insertPerformance(em, {
      eventId: event?.id as string,
      startsAt,
      endsAt: new Date(startsAt.getTime() + show.minutes * 60_000),
      onSaleFrom: show.opensInDays === null ? null : inSeoul(now, show.opensInDays, 10),
      onSaleUntil: startsAt,
      perMemberMax: show.perMemberMax,
      holdSeconds: 300,
      cancellation: CANCELLATION,
      plan,
      tiers: tiersOf(show, plan),
    });
  }
}

/** Where there is no seat plan, all of it is places without numbers. */
function tiersOf({ priceMinor, standing }: Show, plan: SeatPlan | null): TierWish[] {
  const zones = [...new Set(plan?.seats.map(({ zone }) => zone))];
  const seats = zones.map((zone, index) => ({
    name: `${zone}석`,
    zone,
    // In whole thousands, as prices are printed.
    priceMinor: Math.max(10_000, Math.round(((priceMinor ?? 0) * 0.8 ** index) / 1_000) * 1_000),
  }));
  if (standing) return [...seats, standing];
  return seats.length > 0 ? seats : [{ name: '자유석', priceMinor: priceMinor ?? 0, capacity: 200 }];
}

const SEOUL_MS = 9 * 3_600_000;

/** That many days after today in Seoul, at that hour there. */
function inSeoul(now: Date, days: number, hour: number): Date {
  const today = Math.floor((now.getTime() + SEOUL_MS) / 86_400_000) * 86_400_000;
  return new Date(today + days * 86_400_000 + hour * 3_600_000 - SEOUL_MS);
}
