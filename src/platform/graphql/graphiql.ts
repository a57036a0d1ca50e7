import type { FastifyInstance } from 'fastify';

export interface GraphiqlOptions {
  /** Where the page is served. */
  path?: string;
  /** The GraphQL endpoint on the same host, for HTTP and for WebSocket. */
  endpoint?: string;
  title?: string;
  /** The operation the editor starts with. */
  defaultQuery?: string;
}

/** Nothing of the page may come from another host: it works without internet and sends its token nowhere else. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:",
  "connect-src 'self' ws: wss: blob: data:",
  "frame-ancestors 'none'",
  "form-action 'none'",
  "base-uri 'none'",
].join('; ');

/**
 * Serves GraphiQL with its scripts, styles and workers inside one page of 9 MB, subscriptions over WebSocket. The package
 * is imported at the first visit, so a server nobody explores never loads it.
 */
export function registerGraphiql(fastify: FastifyInstance, options: GraphiqlOptions = {}): void {
  let page: Promise<Buffer> | undefined;
  fastify.get(options.path ?? '/graphiql', async (_request, reply) => {
    page ??= renderPage(options);
    return reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', CONTENT_SECURITY_POLICY)
      .header('referrer-policy', 'no-referrer')
      .header('x-content-type-options', 'nosniff')
      .send(await page);
  });
}

async function renderPage({ endpoint = '/graphql', title = 'GraphiQL', defaultQuery }: GraphiqlOptions): Promise<Buffer> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  const html = renderGraphiQL({
    endpoint,
    title,
    subscriptionsProtocol: 'WS',
    isHeadersEditorEnabled: true,
    headers: JSON.stringify({ Authorization: '' }, null, 2),
    // A token in the local storage would outlive its session.
    shouldPersistHeaders: false,
    ...(defaultQuery !== undefined && { defaultQuery }),
  });
  return Buffer.from(withHeadersOnWebSocket(html));
}

/**
 * The page sends the headers of its editor with HTTP only. Its WebSocket client takes connection parameters from the
 * request's extensions, so the headers are put there too: a personal subscription then works with the same token.
 */
const withHeadersOnWebSocket = (html: string) =>
  html.replace('extensions:{headers:y?.headers}', () => 'extensions:{headers:y?.headers,connectionParams:y?.headers}');
