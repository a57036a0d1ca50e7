import type { EntityManager } from '@mikro-orm/postgresql';
import type { Locale } from '../locale.ts';

/** Who may do what. A higher role includes the lower ones. */
export const ROLES = ['MEMBER', 'ORGANIZER', 'ADMIN'] as const;
export type Role = (typeof ROLES)[number];

/** The signed-in caller, as the session table knows it at the moment of the request. */
export interface Viewer {
  memberId: string;
  sessionId: string;
  role: Role;
  /** When the access token ends. A socket that outlives it is closed. */
  expiresAt: Date;
}

/**
 * What a resolver knows of its request. Made anew for every HTTP request and for every subscription event
 * (graphql-ws builds its own context once per operation, so an EntityManager kept there would serve stale rows).
 */
export interface RequestContext {
  requestId: string;
  viewer: Viewer | null;
  locale: Locale;
  /** The address of the caller, after the trusted proxies. */
  clientIp: string;
  /** A fork of its own, made at first use: most claims never need one. */
  readonly em: EntityManager;
  /** Loaders of this request, made at first use by `loaderOf`. */
  readonly loaders: Map<symbol, unknown>;
  /** Follows live objects for a personal subscription: those of the source that is named like its field. Check first whether the viewer may. */
  watch(source: string, ids: readonly string[]): AsyncIterableIterator<unknown>;
}
