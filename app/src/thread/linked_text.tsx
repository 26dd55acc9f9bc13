/**
 * Text with its links made links: web addresses alone, and never as markup.
 *
 * @module
 */

import { Fragment } from "react";

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`]+/gi;
/** What ends a sentence and not an address. */
const TRAILING = /[.,;:!?)\]}'"»”]+$/;

/** The text as it is, line breaks included. */
export function LinkedText({ text }: { text: string }) {
  const parts: { text: string; href?: string }[] = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const written = match[0].replace(TRAILING, "");
    const href = safeUrl(written);
    if (href === undefined) continue;
    parts.push({ text: text.slice(end, match.index) }, { text: written, href });
    end = match.index + written.length;
  }
  parts.push({ text: text.slice(end) });
  return parts.map((part, index) =>
    part.href === undefined ? <Fragment key={index}>{part.text}</Fragment> : (
      <a
        key={index}
        href={part.href}
        target="_blank"
        rel="noopener noreferrer nofollow"
      >
        {part.text}
      </a>
    )
  );
}

/** An address that may be opened: http and https, nothing that runs. */
export function safeUrl(text: string | null | undefined): string | undefined {
  const url = text ? URL.parse(text) : null;
  return url && (url.protocol === "https:" || url.protocol === "http:") ? url.href : undefined;
}
