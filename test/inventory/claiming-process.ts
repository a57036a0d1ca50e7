import { claimOf, itemOf, Kernel } from '../support/kernel.ts';

/**
 * A process to be killed: `claiming-process.ts <url> <pool>`. Takes four places and writes the id of each hold when it was granted, pays the first, and
 * stops in the middle: a confirmation is written and not committed, a claim is on its way and not answered.
 */
const [url = '', poolId = ''] = process.argv.slice(2);
const kernel = await Kernel.open(url, { poolMax: 4 });
await kernel.meet([poolId]);
const kind = (await kernel.inventory.availabilityOf([poolId]))[0]?.kind ?? '';
const claim = () => kernel.place(claimOf({ items: [itemOf(poolId, { kind })] }));

const holds: string[] = [];
for (let taken = 0; taken < 4; taken++) {
  const answer = await claim();
  if (answer.outcome !== 'GRANTED') throw new Error(`The claim was not granted but answered ${JSON.stringify(answer)}.`);
  holds.push(answer.holdId);
  process.stdout.write(`${answer.holdId}\n`);
}

const [first = ''] = holds;
await kernel.move('startPaying', first);
const em = kernel.database.fork();
await em.begin();
await kernel.inventory.move(em, 'confirm', first, null);
void claim();
process.stdout.write('in the middle\n');
setInterval(() => undefined, 1_000);
