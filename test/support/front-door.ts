import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** The address customers and providers know: one for all nodes, or for the one that comes after a crash. */
export interface FrontDoor extends AsyncDisposable {
  readonly url: string;
  /** From now on it leads to this server. Who is inside stays where he is; without a server behind it, it cuts whoever comes. */
  leadTo(serverUrl: string | null): void;
}

export async function frontDoor(): Promise<FrontDoor> {
  const sockets = new Set<Socket>();
  let server: URL | null = null;
  const listener = createServer((near) => {
    if (!server) return void near.destroy();
    const far = connect(Number(server.port), server.hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      // A server that dies errors on both ends; whoever used it is told by the close.
      socket.on('error', () => undefined);
    }
    near.pipe(far).pipe(near);
    near.once('close', () => far.destroy());
    far.once('close', () => near.destroy());
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    url: `http://127.0.0.1:${(listener.address() as { port: number }).port}`,
    leadTo: (serverUrl) => {
      server = serverUrl === null ? null : new URL(serverUrl);
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      listener.close();
      await once(listener, 'close');
    },
  };
}
