/**
 * Draws the content of a message.
 *
 * @module
 */

import { Ban, CircleHelp, ImageOff, MapPin, ShoppingBag, UserRound } from "lucide-react";
import { memo } from "react";
import type { Message } from "../api/rows.ts";
import { formatIdentifier } from "../format.ts";
import { texts } from "../texts.ts";
import { LinkedText } from "../ui/linked_text.tsx";
import { Attachment } from "./attachment.tsx";
import { type Content, readContent } from "./read_content.ts";

/** The content of a bubble. */
export const MessageContent = memo(
  function MessageContent({ message, conversationId }: {
    message: Message;
    conversationId: string;
  }) {
    const content = readContent(message);
    if (message.deleted_at !== null && content.kind !== "placeholder") {
      // The workspace keeps what its sender deleted.
      return (
        <>
          <Placeholder reason="deleted" />
          <MessageContent
            message={{ ...message, deleted_at: null }}
            conversationId={conversationId}
          />
        </>
      );
    }
    switch (content.kind) {
      case "text":
        return (
          <>
            {content.label && (
              <span className="bubble-label">
                {{
                  template: texts.content.template,
                  answer: texts.content.buttonAnswer,
                  system: texts.content.system,
                }[content.label]}
              </span>
            )}
            <p className="bubble-text">
              {content.text === ""
                ? <em>{texts.content.empty}</em>
                : <LinkedText text={content.text} />}
            </p>
          </>
        );
      case "media":
        return (
          <>
            <Attachment
              message={message}
              media={content.media}
              conversationId={conversationId}
            />
            {content.caption && (
              <p className="bubble-text">
                <LinkedText text={content.caption} />
              </p>
            )}
          </>
        );
      case "location":
        return <Location content={content} />;
      case "contacts":
        return <Cards content={content} />;
      case "order":
        return <Order content={content} />;
      case "placeholder":
        return <Placeholder reason={content.reason} />;
    }
  },
);

function Placeholder(
  { reason }: { reason: Extract<Content, { kind: "placeholder" }>["reason"] },
) {
  const [Icon, text] = {
    deleted: [Ban, texts.content.deleted] as const,
    unsupported: [CircleHelp, texts.content.unsupported] as const,
    unavailable: [ImageOff, texts.content.mediaUnavailable] as const,
  }[reason];
  return (
    <p className="bubble-placeholder">
      <Icon size={16} aria-hidden /> {text}
    </p>
  );
}

function Location(
  { content }: { content: Extract<Content, { kind: "location" }> },
) {
  const { name, address, point } = content;
  const query = point ? `${point.latitude},${point.longitude}` : "";
  return (
    <div className="card">
      <span className="card-icon" aria-hidden>
        <MapPin size={20} />
      </span>
      <div className="card-body">
        <strong>{name ?? texts.content.location}</strong>
        {address && address !== name && <span>{address}</span>}
        {point && (
          <a
            href={`https://www.openstreetmap.org/?mlat=${point.latitude}&mlon=${point.longitude}#map=16/${
              query.replace(",", "/")
            }`}
            target="_blank"
            rel="noopener noreferrer"
          >
            {texts.content.openMap}
          </a>
        )}
      </div>
    </div>
  );
}

function Cards(
  { content }: { content: Extract<Content, { kind: "contacts" }> },
) {
  return content.cards.map((card, index) => (
    <div className="card" key={index}>
      <span className="card-icon" aria-hidden>
        <UserRound size={20} />
      </span>
      <div className="card-body">
        <strong>{card.name || texts.content.contactCard}</strong>
        {card.phones.map((phone) => (
          <a key={phone} href={`tel:${phone.replace(/[^\d+]/g, "")}`}>
            {formatIdentifier(phone)}
          </a>
        ))}
        {card.emails.map((email) => <span key={email}>{email}</span>)}
      </div>
    </div>
  ));
}

function Order({ content }: { content: Extract<Content, { kind: "order" }> }) {
  const { text, items, currency } = content;
  const format = (amount: number) => {
    if (!currency) return new Intl.NumberFormat().format(amount);
    try {
      return new Intl.NumberFormat(undefined, { style: "currency", currency })
        .format(amount);
    } catch {
      // An unknown currency.
      return `${amount} ${currency}`;
    }
  };
  const total = items.reduce(
    (sum, item) => sum + item.quantity * (item.price ?? NaN),
    0,
  );
  return (
    <div className="order">
      <strong className="order-title">
        <ShoppingBag size={16} aria-hidden /> {texts.content.order}
      </strong>
      {text && (
        <p className="bubble-text">
          <LinkedText text={text} />
        </p>
      )}
      <ul>
        {items.map((item, index) => (
          <li key={index}>
            <span>{item.quantity} × {item.name}</span>
            {item.price !== undefined && <span>{format(item.price * item.quantity)}</span>}
          </li>
        ))}
        {!Number.isNaN(total) && items.length > 1 && (
          <li className="order-total">
            <span>{texts.content.orderTotal}</span>
            <span>{format(total)}</span>
          </li>
        )}
      </ul>
    </div>
  );
}
