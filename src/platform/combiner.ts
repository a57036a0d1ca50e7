export interface CombinerOptions {
  /** Items in one batch; more wait for the next. */
  batchMax: number;
  /** Batches under way at once. With 1 a batch that waits for a lock makes all others wait. */
  lanesMax: number;
}

interface Waiting<Item, Answer> {
  item: Item;
  answer(answer: Answer): void;
  fail(error: unknown): void;
}

/**
 * Combines what arrives at once: while batches are under way, items wait, and the next batch takes all of them. So a commit or a round trip serves many in a
 * rush, and a lone item goes at once.
 */
export class Combiner<Item, Answer> {
  private waiting: Waiting<Item, Answer>[] = [];
  private underWay = 0;

  constructor(
    /** One answer for each item, in their order. If it rejects, all of the batch do. */
    private readonly run: (items: Item[]) => Promise<readonly Answer[]>,
    private readonly options: CombinerOptions,
  ) {}

  add(item: Item): Promise<Answer> {
    return new Promise((answer, fail) => {
      this.waiting.push({ item, answer, fail });
      this.startNext();
    });
  }

  private startNext(): void {
    if (this.waiting.length === 0 || this.underWay >= this.options.lanesMax) return;
    const batch = this.waiting.splice(0, this.options.batchMax);
    this.underWay += 1;
    void this.run(batch.map(({ item }) => item))
      .then(
        (answers) => {
          for (const [index, { answer }] of batch.entries()) answer(answers[index] as Answer);
        },
        (error) => {
          for (const { fail } of batch) fail(error);
        },
      )
      .finally(() => {
        this.underWay -= 1;
        this.startNext();
      });
  }
}
