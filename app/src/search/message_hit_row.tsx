/**
 * A message among the results of a search.
 *
 * @module
 */

import type { MouseEvent } from "react";
import type { MessageHit } from "../api/rows.ts";
import { conversationName, formatDateTime, formatShort } from "../format.ts";
import { texts } from "../texts.ts";
import { Avatar } from "../ui/avatar.tsx";
import { visitAgain } from "../ui/hash_location.ts";

/** Who wrote when, and the text around what was found; leads to the message in its conversation. */
export function MessageHitRow({ hit, isSelected, href }: {
  hit: MessageHit;
  isSelected: boolean;
  href: string;
}) {
  const name = conversationName(hit);
  return (
    <a
      className="row hit-row"
      data-result
      href={href}
      aria-current={isSelected ? "true" : undefined}
      onClick={goAgain}
    >
      <Avatar name={name} platform={hit.platform} />
      <span className="row-body">
        <span className="row-top">
          <span className="row-name">{name}</span>
          <span className="visually-hidden">, {texts.platforms[hit.platform]},</span>
          <time
            className="row-time"
            dateTime={hit.sent_at}
            title={formatDateTime(hit.sent_at)}
          >
            {formatShort(hit.sent_at)}
          </time>
        </span>
        <span className="row-bottom">
          <span className="hit-text">
            {writerOf(hit, name)}
            <Snippet hit={hit} />
          </span>
          {hit.conversation_status === "closed" && <span className="tag">{texts.list.closed}</span>}
        </span>
      </span>
    </a>
  );
}

function Snippet({ hit: { snippet, type } }: { hit: MessageHit }) {
  if (snippet.every((piece) => piece === "")) {
    return type === "text" ? texts.content.empty : texts.list.types[type];
  }
  return snippet.map((piece, index) => index % 2 === 1 ? <mark key={index}>{piece}</mark> : piece);
}

/** Who wrote, where it was not the contact. */
function writerOf({ direction, sender_name }: MessageHit, name: string): string {
  if (direction === "outbound") return texts.list.outboundPrefix;
  return sender_name !== null && sender_name !== name ? `${sender_name}: ` : "";
}

/** The browser does nothing for the address that is open, though the user may have scrolled away. */
function goAgain(event: MouseEvent<HTMLAnchorElement>): void {
  if (event.currentTarget.hash === location.hash) {
    event.preventDefault();
    visitAgain();
  }
}
