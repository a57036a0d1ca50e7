import { GraphQLError } from 'graphql';
import { type AuthChecker, Authorized } from 'type-graphql';
import { type RequestContext, ROLES, type Role, type Viewer } from './context.ts';

/** Declares on a field who may read or call it: anyone signed in, or at least the given role. */
export const RequiresRole = (role: Role = 'MEMBER') => Authorized<Role>(role);

/** What a field answers to a caller without a valid session. */
export const unauthenticated = () =>
  new GraphQLError('Sign in first: this field needs a valid access token in the Authorization header.', {
    extensions: { code: 'UNAUTHENTICATED' },
  });

export const forbidden = (role: Role) => new GraphQLError(`This field needs the role ${role}.`, { extensions: { code: 'FORBIDDEN' } });

export const atLeast = (has: Role, needs: Role) => ROLES.indexOf(has) >= ROLES.indexOf(needs);

export const authChecker: AuthChecker<RequestContext, Role> = ({ context }, [needs = 'MEMBER']) => {
  if (!context.viewer) throw unauthenticated();
  if (!atLeast(context.viewer.role, needs)) throw forbidden(needs);
  return true;
};

/** The caller of a field that declares `RequiresRole`. */
export function viewerOf(context: RequestContext): Viewer {
  if (!context.viewer) throw unauthenticated();
  return context.viewer;
}

/** Whether a caller may read what belongs to one member: that member may, and administrators. */
export const mayReadOf = (viewer: Viewer | null, memberId: string): boolean =>
  viewer !== null && (viewer.memberId === memberId || atLeast(viewer.role, 'ADMIN'));

/** The token of `Bearer …` credentials, or undefined for anything else. */
export const bearerTokenOf = (credentials: string): string | undefined => /^Bearer +(\S+)$/i.exec(credentials)?.[1];
