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
    const written = trim(match[0]);
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

/** Cuts off what follows an address. A bracket that was opened in it belongs to it: `/wiki/Rose_(flower)`. */
function trim(address: string): string {
  const cut = address.replace(TRAILING, "");
  return address[cut.length] === ")" && cut.lastIndexOf("(") > cut.lastIndexOf(")")
    ? `${cut})`
    : cut;
}

/** An address that may be opened: http and https, nothing that runs. */
export function safeUrl(text: string | null | undefined): string | undefined {
  const url = text ? URL.parse(text) : null;
  return url && (url.protocol === "https:" || url.protocol === "http:") ? url.href : undefined;
}
