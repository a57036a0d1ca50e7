import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';

/**
 * A file of JSON lines that only grows while it is written. What was appended survives the process, not the machine: it is written at once and never
 * synchronised, because nothing here is money.
 */
export class Journal {
  readonly #file: string;
  #descriptor: number | null = null;

  constructor(file: string) {
    this.#file = file;
  }

  /**
   * The lines of earlier runs. A last line without its end was cut by a crash and is left out; any other line that is not JSON
   * is a file of somebody else's, and throws.
   */
  read(): unknown[] {
    if (!existsSync(this.#file)) return [];
    const lines = readFileSync(this.#file, 'utf8').split('\n');
    // What follows the last line end is empty, or cut.
    lines.pop();
    return lines.map((line, index) => {
      try {
        return JSON.parse(line) as unknown;
      } catch (cause) {
        throw new Error(`${this.#file}:${index + 1} is not a line of the simulator's journal. Delete the file to begin with empty books.`, {
          cause,
        });
      }
    });
  }

  /** Begins anew with only these lines, in one step, so that the file does not grow from run to run. */
  rewrite(lines: Iterable<unknown>): void {
    this.close();
    mkdirSync(path.dirname(this.#file), { recursive: true });
    const next = `${this.#file}.next`;
    writeFileSync(next, Array.from(lines, (line) => `${JSON.stringify(line)}\n`).join(''));
    renameSync(next, this.#file);
  }

  append(line: unknown): void {
    this.#descriptor ??= openSync(this.#file, 'a');
    writeSync(this.#descriptor, `${JSON.stringify(line)}\n`);
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }
}
