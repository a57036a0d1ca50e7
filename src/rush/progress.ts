/** How far a step is. */
export interface StepState {
  done: number;
  total: number;
  note?: string;
}

const REDRAW_MS = 100;
const LINE_MS = 3_000;
const BAR_WIDTH = 30;

/** Tells on a stream what is going on: in a terminal one line drawn again and again, elsewhere a line every few seconds. */
export class ProgressBar {
  private readonly stream: NodeJS.WriteStream;

  constructor(stream: NodeJS.WriteStream) {
    this.stream = stream;
  }

  /** Shows a step while it runs, and its end. */
  async during<T>(name: string, work: Promise<T>, state: () => StepState): Promise<T> {
    const show = this.stream.isTTY
      ? () => this.stream.write(`\r\x1b[2K${lineOf(name, state())}`)
      : () => this.stream.write(`${lineOf(name, state())}\n`);
    if (this.stream.isTTY) show();
    const timer = setInterval(show, this.stream.isTTY ? REDRAW_MS : LINE_MS);
    try {
      return await work;
    } finally {
      clearInterval(timer);
      show();
      if (this.stream.isTTY) this.stream.write('\n');
    }
  }

  say(sentence: string): void {
    this.stream.write(`${sentence}\n`);
  }
}

export function lineOf(name: string, { done, total, note }: StepState): string {
  const share = total === 0 ? 1 : done / total;
  const full = Math.round(share * BAR_WIDTH);
  const bar = `[${'#'.repeat(full)}${'-'.repeat(BAR_WIDTH - full)}]`;
  return `${name.padEnd(12)} ${bar} ${done.toLocaleString('en')}/${total.toLocaleString('en')}${note ? `  ${note}` : ''}`;
}
