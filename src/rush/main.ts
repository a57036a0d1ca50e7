import { HELP, parseCommand, SetupError, UnjudgedError } from './options.ts';
import { ProgressBar } from './progress.ts';
import { textOf } from './report.ts';
import { holdRush } from './rush.ts';
import { holdSeatsRush, seatsTextOf } from './seats/seats-rush.ts';

const EXIT = { ok: 0, broken: 1, setup: 2, interrupted: 130 } as const;

/** Holds one rehearsal and answers the exit code. */
async function main(): Promise<number> {
  // biome-ignore lint/style/noProcessEnv: a program of its own beside the server, whose config.ts it must not load.
  const environment = process.env;
  const bar = new ProgressBar(process.stderr);
  const interruption = new AbortController();
  // npm, the shell and the terminal may each send it: the first counts.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interruption.abort(new Interrupted()));
  let isJson = false;
  try {
    const command = parseCommand(process.argv.slice(2), environment);
    if (command.name === 'help') {
      process.stdout.write(HELP);
      return EXIT.ok;
    }
    isJson = command.options.json;
    const surroundings = { environment, bar, signal: interruption.signal };
    const { report, text } =
      command.name === 'seats'
        ? await holdSeatsRush(command.options, surroundings).then((report) => ({ report, text: seatsTextOf(report) }))
        : await holdRush(command.options, surroundings).then((report) => ({ report, text: textOf(report) }));
    process.stdout.write(isJson ? `${JSON.stringify(report)}\n` : `\n${text}`);
    return report.ok ? EXIT.ok : EXIT.broken;
  } catch (error) {
    if (error instanceof Interrupted) {
      bar.say('Interrupted. Everything that was started has been stopped.');
      return EXIT.interrupted;
    }
    const isExpected = error instanceof SetupError || error instanceof UnjudgedError;
    const problem = isExpected ? error.message : `The rehearsal failed: ${(error as Error).stack}`;
    bar.say(problem);
    // Machines often keep standard output alone: an end without a report says there why.
    if (isJson) process.stdout.write(`${JSON.stringify({ ok: false, problem })}\n`);
    return error instanceof SetupError ? EXIT.setup : EXIT.broken;
  }
}

class Interrupted extends Error {}

process.exitCode = await main();
// After an interruption requests may still be on their way, and nobody waits for them.
if (process.exitCode === EXIT.interrupted) process.exit();
