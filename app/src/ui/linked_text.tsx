/**
 * Text with clickable web addresses. Nothing in the text becomes markup.
 *
 * @module
 */

import { Fragment } from "react";
import { shownAddress } from "./shown_address.ts";

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`]+/gi;
/** Characters that end a sentence rather than an address. */
const TRAILING = /[.,;:!?)\]}'"»”]+$/;

/** The text, including its line breaks. An address that could pass for another is shown in ASCII. */
export function LinkedText({ text }: { text: string }) {
  const parts: { text: string; href?: string }[] = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const written = trim(match[0]);
    const href = safeUrl(written);
    if (href === undefined) continue;
    parts.push(
      { text: text.slice(end, match.index) },
      { text: shownAddress(written, new URL(href)), href },
    );
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

/** Cuts trailing punctuation off. A bracket that the address opened belongs to it: `/wiki/Rose_(flower)`. */
function trim(address: string): string {
  const cut = address.replace(TRAILING, "");
  return address[cut.length] === ")" && cut.lastIndexOf("(") > cut.lastIndexOf(")")
    ? `${cut})`
    : cut;
}

/** Returns the address if it is http or https; undefined for schemes that could run code. */
export function safeUrl(text: string | null | undefined): string | undefined {
  const url = text ? URL.parse(text) : null;
  return url && (url.protocol === "https:" || url.protocol === "http:") ? url.href : undefined;
}
