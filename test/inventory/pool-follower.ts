import { expect } from '@jest/globals';
import type { TestInventory } from '../support/inventory.ts';

/** Follows a pool by its versions, as a seat map does, and compares what it has put together with the whole of the same instant. */
export class PoolFollower {
  private version = 0;
  private readonly units = new Map<number, string>();
  reads = 0;

  constructor(
    private readonly inventory: TestInventory,
    private readonly pool: string,
  ) {}

  async read(): Promise<void> {
    const [row] = await this.inventory.query<{ version: number; news: [number, string][] | null; whole: [number, string][] }>(
      `select p.version,
         (select json_agg(json_build_array(u.number, u.state)) from unit u where u.pool_id = p.id and u.version > $2) as news,
         (select json_agg(json_build_array(u.number, u.state) order by u.number) from unit u where u.pool_id = p.id) as whole
       from pool p where p.id = $1`,
      [this.pool, this.version],
    );
    for (const [number, state] of row?.news ?? []) this.units.set(number, state);
    this.version = row?.version ?? 0;
    this.reads++;
    expect([...this.units].toSorted(([a], [b]) => a - b)).toEqual(row?.whole);
  }
}
