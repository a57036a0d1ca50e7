import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';

export interface LyingProxy extends AsyncDisposable {
  readonly url: string;
}

/**
 * Stands between clients and a server. What the first WebSocket is told goes through `lie`, which keeps a message back by null; HTTP passes as it is, but a request whose path
 * `drops` answers true for is lost: its connection is closed without an answer.
 */
export async function lyingProxy(
  serverUrl: string,
  lie: (message: string) => string | null,
  drops: (path: string) => boolean = () => false,
): Promise<LyingProxy> {
  const { hostname, port } = new URL(serverUrl);
  const server = createServer((incoming, outgoing) => {
    const { method = 'GET', url = '/', headers } = incoming;
    if (drops(url)) {
      incoming.socket.destroy();
      return;
    }
    const passed = request({ hostname, port, method, path: url, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    incoming.pipe(passed);
  });
  const sockets = new WebSocketServer({ server, handleProtocols: (offered) => [...offered][0] ?? false });
  let accepted = 0;
  sockets.on('connection', (client, { url }) => {
    const isDeceived = accepted++ === 0;
    const upstream = new WebSocket(`ws://${hostname}:${port}${url}`, client.protocol);
    const opened = once(upstream, 'open');
    client.on('message', (message) => void opened.then(() => upstream.send(String(message))));
    upstream.on('message', (message) => {
      const told = isDeceived ? lie(String(message)) : String(message);
      if (told !== null) client.send(told);
    });
    client.on('close', () => upstream.close());
    upstream.on('close', () => client.close());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      for (const client of sockets.clients) client.terminate();
      sockets.close();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
