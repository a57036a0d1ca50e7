import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A wire between us and a server that can stop to carry answers, and be cut. */
export interface TcpProxy extends AsyncDisposable {
  /** The same URL, through the proxy. */
  readonly url: string;
  /** From now on what the server answers is swallowed; what is sent to it arrives. */
  swallowAnswers(): void;
  /** Cuts every connection; new ones work again. */
  cut(): void;
  /** Cuts every connection and refuses new ones, until `accept`. */
  refuse(): Promise<void>;
  accept(): Promise<void>;
}

export async function tcpProxy(serverUrl: string): Promise<TcpProxy> {
  const server = new URL(serverUrl);
  const sockets = new Set<Socket>();
  let isSwallowing = false;
  const listener = createServer((near) => {
    const far = connect(Number(server.port), server.hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      // A cut wire errors on both ends; whoever used it is told by the close.
      socket.on('error', () => undefined);
    }
    near.pipe(far);
    far.on('data', (chunk) => isSwallowing || near.write(chunk));
    near.once('close', () => far.destroy());
    far.once('close', () => near.destroy());
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const url = new URL(serverUrl);
  url.hostname = '127.0.0.1';
  url.port = String((listener.address() as { port: number }).port);
  const cut = () => {
    isSwallowing = false;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: url.toString(),
    swallowAnswers: () => {
      isSwallowing = true;
    },
    cut,
    refuse: async () => {
      cut();
      listener.close();
      await once(listener, 'close');
    },
    accept: async () => {
      listener.listen(Number(url.port), '127.0.0.1');
      await once(listener, 'listening');
    },
    async [Symbol.asyncDispose]() {
      cut();
      if (!listener.listening) return;
      listener.close();
      await once(listener, 'close');
    },
  };
}
