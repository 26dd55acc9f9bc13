/**
 * Canned replies: finding them, and filling in the name of the contact.
 *
 * @module
 */

import type { CannedReply } from "../api/rows.ts";

/** Finds replies by shortcut or title: those whose shortcut begins with the text first, then by title. */
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
 * Fills in the name of the contact. Without a name, the placeholder is removed together with the space
 * before it: "Hello {{name}}," becomes "Hello,".
 */
export function fillIn(content: string, name: string | null): string {
  return content.replaceAll(
    /([ \t]*)\{\{\s*name\s*\}\}/gi,
    (_, space: string) => name ? space + name : "",
  );
}
