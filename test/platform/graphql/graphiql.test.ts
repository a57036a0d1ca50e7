import 'reflect-metadata';
import { expect, test } from '@jest/globals';
import Fastify from 'fastify';
import { registerGraphiql } from '../../../src/platform/graphql/graphiql.ts';

test('the page is whole: it needs no other host, and its headers reach HTTP and WebSocket', async () => {
  await using fastify = Object.assign(Fastify(), { [Symbol.asyncDispose]: () => fastify.close() });
  registerGraphiql(fastify, { title: 'lastseat', defaultQuery: 'subscription Watch { watched { name } }' });
  const url = await fastify.listen({ host: '127.0.0.1', port: 0 });

  const response = await fetch(`${url}/graphiql`);
  const page = await response.text();

  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  // The browser would refuse another origin, whatever the scripts ask for.
  expect(response.headers.get('content-security-policy')).toContain("default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:;");
  expect(page).toContain('"endpoint":"/graphql"');
  expect(page).toContain('"subscriptionsProtocol":"WS"');
  expect(page).toContain('"isHeadersEditorEnabled":true');
  expect(page).toContain('"shouldPersistHeaders":false');
  expect(page).toContain('subscription Watch { watched { name } }');
  expect(page).toContain('connectionParams:y?.headers');
  expect(page).not.toMatch(/<(script|link|img|iframe)[^>]{0,200}(src|href)=["']?(https?:)?\/\//i);
  expect(page).not.toMatch(/unpkg\.com|jsdelivr\.net|cdnjs\.|googleapis\.com|esm\.sh/);
  expect(page).not.toMatch(/url\(["']?https?:|@import/);
});
