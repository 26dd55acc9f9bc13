/**
 * Canned replies: which ones fit what was typed, and what they read like for a contact.
 *
 * @module
 */

import type { CannedReply } from "../api/types.ts";

/** Those that have the words: first the ones whose shortcut begins with them, then by title. */
export function findReplies(replies: readonly CannedReply[], typed: string): CannedReply[] {
  const words = typed.trim().toLowerCase();
  const begins = ({ shortcut }: CannedReply) => shortcut.toLowerCase().startsWith(words);
  return replies
    .filter((reply) =>
      begins(reply) || reply.title.toLowerCase().includes(words) ||
      reply.shortcut.toLowerCase().includes(words)
    )
    .toSorted((a, b) =>
      Number(begins(b)) - Number(begins(a)) || a.title.localeCompare(b.title) ||
      a.shortcut.localeCompare(b.shortcut)
    );
}

/**
 * The text with the name of the contact in it. Where there is no name, the placeholder goes together with
 * the space before it: "Hello {{name}}," becomes "Hello,".
 */
export function fillIn(content: string, name: string | null): string {
  return content.replaceAll(
    /([ \t]*)\{\{\s*name\s*\}\}/gi,
    (_, space: string) => name ? space + name : "",
  );
}
