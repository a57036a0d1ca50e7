import { type ASTNode, type DocumentNode, Kind, visit } from 'graphql';

/** UTF-16 units of one string. The longest text we store, the body of an event, may be as long; a request is 100 KiB at most. */
export const TEXT_LENGTH_MAX = 20_000;

/** Lists and objects inside each other in variables. Deeper ones only serve to exhaust the stack. */
const NESTING_MAX = 20;

/** Names in a path come from the client, so they are clipped before they are sent back. */
const SHOWN_NAME_MAX = 60;

/** Why a text is not stored or compared anywhere, or null. PostgreSQL has no U+0000; a lone surrogate is not UTF-8. */
export function faultOfText(text: string): string | null {
  if (text.length > TEXT_LENGTH_MAX) return `is longer than ${TEXT_LENGTH_MAX} characters`;
  if (text.includes('\0')) return 'contains U+0000';
  if (!text.isWellFormed()) return 'contains a lone surrogate';
  return null;
}

/** The first thing wrong with the values of variables, as a sentence that names its path but not its value, or null. */
export function findBadVariable(variables: Readonly<Record<string, unknown>>, listItemsMax: number): string | null {
  const path: string[] = [];
  const fault = faultOfValue(variables, listItemsMax, path, 0);
  return fault && `variables${path.reverse().join('')} ${fault}.`;
}

/** Fills `path` from its end while it returns, so a good value costs no path. */
function faultOfValue(value: unknown, listItemsMax: number, path: string[], nesting: number): string | null {
  if (typeof value === 'string') return faultOfText(value);
  if (typeof value !== 'object' || value === null) return null;
  if (nesting > NESTING_MAX) return `nests more than ${NESTING_MAX} deep`;
  return Array.isArray(value) ? faultOfList(value, listItemsMax, path, nesting) : faultOfObject(value, listItemsMax, path, nesting);
}

function faultOfList(list: readonly unknown[], listItemsMax: number, path: string[], nesting: number): string | null {
  if (list.length > listItemsMax) return `has ${list.length} items, more than the ${listItemsMax} allowed`;
  for (let index = 0; index < list.length; index++) {
    const fault = faultOfValue(list[index], listItemsMax, path, nesting + 1);
    if (fault) {
      path.push(`[${index}]`);
      return fault;
    }
  }
  return null;
}

function faultOfObject(object: object, listItemsMax: number, path: string[], nesting: number): string | null {
  for (const key of Object.keys(object)) {
    const fault = faultOfText(key) ?? faultOfValue((object as Record<string, unknown>)[key], listItemsMax, path, nesting + 1);
    if (fault) {
      path.push(`.${key.slice(0, SHOWN_NAME_MAX).toWellFormed().replaceAll('\0', '\uFFFD')}`);
      return fault;
    }
  }
  return null;
}

const badLiterals = new WeakMap<DocumentNode, string | null>();

/** The same for the strings written in a document. Looked at once per document. */
export function findBadLiteral(document: DocumentNode): string | null {
  let bad = badLiterals.get(document);
  if (bad === undefined) {
    bad = searchLiterals(document);
    badLiterals.set(document, bad);
  }
  return bad;
}

function searchLiterals(document: DocumentNode): string | null {
  let bad: string | null = null;
  visit(document, {
    StringValue(node, _key, parent, _path, ancestors) {
      const fault = bad ? null : faultOfText(node.value);
      if (fault) bad = `${pathOf([...ancestors, ...(parent ? [parent] : [])])} ${fault}.`;
    },
  });
  return bad;
}

/** For example `enroll.input.email`: fields, arguments and input fields from the root to the string. */
function pathOf(ancestors: readonly (ASTNode | readonly ASTNode[])[]): string {
  const names: string[] = [];
  for (const ancestor of ancestors) {
    if (!('kind' in ancestor)) continue;
    switch (ancestor.kind) {
      case Kind.FIELD:
      case Kind.ARGUMENT:
      case Kind.OBJECT_FIELD:
      case Kind.DIRECTIVE:
        names.push(ancestor.name.value.slice(0, SHOWN_NAME_MAX));
        break;
      case Kind.VARIABLE_DEFINITION:
        names.push(`$${ancestor.variable.name.value.slice(0, SHOWN_NAME_MAX)}`);
    }
  }
  return names.join('.');
}
