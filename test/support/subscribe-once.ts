import { WebSocket } from 'ws';
import { eventually } from './wait.ts';

export interface Message {
  id?: string;
  type: string;
  payload?: unknown;
}

/** What the server answers first to one `subscribe` of a client that writes the protocol by hand. */
export async function subscribeOnce(
  url: string,
  payload: object,
  accessToken?: string,
): Promise<Message & { payload: { message: string; extensions: { code: string } }[] }> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const messages: Message[] = [];
  socket.on('message', (data) => {
    const message = JSON.parse(String(data)) as Message;
    messages.push(message);
    if (message.type === 'connection_ack') socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload }));
  });
  const init = { type: 'connection_init', ...(accessToken !== undefined && { payload: { Authorization: `Bearer ${accessToken}` } }) };
  socket.on('open', () => socket.send(JSON.stringify(init)));
  try {
    return (await eventually(() => messages.find(({ id }) => id === '1') ?? null)) as never;
  } finally {
    socket.terminate();
  }
}
