import type { DocumentNode } from 'graphql';

/** Documents longer than this are parsed each time: the longest of our own clients has under 3,000 characters. */
const SOURCE_LENGTH_MAX = 8 * 1024;

/**
 * Characters of source remembered together. A parsed document weighs up to 160 times its source (measured: 96 documents of
 * nothing but short fields, 256 KiB of source, hold 40 MiB of heap), and a flood of distinct documents may fill this.
 */
const TOTAL_LENGTH_MAX = 256 * 1024;

/**
 * Remembers valid documents, least recently used out first, bounded by the length of their sources.
 * Has the shape Apollo wants of a document store (`get`, `set`, `delete`) beside the synchronous one.
 */
export class DocumentCache {
  private readonly documents = new Map<string, DocumentNode>();
  private totalLength = 0;

  constructor(private readonly totalLengthMax = TOTAL_LENGTH_MAX) {}

  get size(): number {
    return this.documents.size;
  }

  lookup(key: string): DocumentNode | undefined {
    const document = this.documents.get(key);
    if (document) {
      // A Map keeps insertion order, so putting it in again makes it the youngest.
      this.documents.delete(key);
      this.documents.set(key, document);
    }
    return document;
  }

  /** Remembers a document that has passed validation. Documents that are too long are not kept. */
  remember(key: string, document: DocumentNode): void {
    if (lengthOf(document) > SOURCE_LENGTH_MAX || this.documents.has(key)) return;
    this.documents.set(key, document);
    this.totalLength += lengthOf(document);
    for (const oldest of this.documents.keys()) {
      if (this.totalLength <= this.totalLengthMax) break;
      this.forget(oldest);
    }
  }

  forget(key: string): boolean {
    const document = this.documents.get(key);
    if (document) this.totalLength -= lengthOf(document);
    return this.documents.delete(key);
  }

  async get(key: string): Promise<DocumentNode | undefined> {
    return this.lookup(key);
  }

  async set(key: string, document: DocumentNode): Promise<void> {
    this.remember(key, document);
  }

  async delete(key: string): Promise<boolean> {
    return this.forget(key);
  }
}

const lengthOf = (document: DocumentNode) => document.loc?.source.body.length ?? Number.POSITIVE_INFINITY;
