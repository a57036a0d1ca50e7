import type { ChildProcess } from 'node:child_process';

/** What a process of the bench lets the one that started it call. Arguments and answers travel as JSON. */
export type Calls = { [name: string]: (argument: never) => unknown };

type Request = { call: number; name: string; argument: unknown };
type Response = { call: number; answer?: unknown; error?: string };

/** Answers the parent's calls, and ends with it. */
export function answerCalls(calls: Calls): void {
  process.on('message', async ({ call, name, argument }: Request) => {
    const response: Response = { call };
    try {
      response.answer = await calls[name]?.(argument as never);
    } catch (error) {
      response.error = (error as Error).stack ?? String(error);
    }
    process.send?.(response);
  });
  process.on('disconnect', () => process.exit());
}

/** Calls a child that answers with {@link answerCalls}. Rejects when the child ends. */
export function callsOf<Of extends Calls>(child: ChildProcess) {
  const open = new Map<number, PromiseWithResolvers<unknown>>();
  let calls = 0;
  child.on('message', ({ call, answer, error }: Response) => {
    if (error === undefined) open.get(call)?.resolve(answer);
    else open.get(call)?.reject(new Error(error));
    open.delete(call);
  });
  child.on('exit', (code) => {
    for (const { reject } of open.values()) reject(new Error(`a process of the bench ended early, exit code ${code}`));
  });
  return <Name extends keyof Of & string>(name: Name, argument: Parameters<Of[Name]>[0]): Promise<Awaited<ReturnType<Of[Name]>>> => {
    const answered = Promise.withResolvers<unknown>();
    open.set(++calls, answered);
    child.send({ call: calls, name, argument } satisfies Request);
    return answered.promise as Promise<Awaited<ReturnType<Of[Name]>>>;
  };
}

/** User and system time of this process so far, in microseconds. */
export const ownCpuMicros = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
