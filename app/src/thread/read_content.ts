/**
 * Reads the content of a message beyond its text from the provider fields in `metadata`.
 *
 * @module
 */

import type { Message } from "../api/rows.ts";

/** Content to draw. */
export type Content =
  | { kind: "text"; text: string; label?: "template" | "answer" | "system" }
  | {
    kind: "media";
    media: "image" | "sticker" | "audio" | "video" | "file";
    caption: string;
  }
  | {
    kind: "location";
    name: string | undefined;
    address: string | undefined;
    point: { latitude: number; longitude: number } | undefined;
  }
  | {
    kind: "contacts";
    cards: { name: string; phones: string[]; emails: string[] }[];
  }
  | {
    kind: "order";
    text: string | undefined;
    items: { name: string; quantity: number; price: number | undefined }[];
    currency: string | undefined;
  }
  | { kind: "placeholder"; reason: "deleted" | "unsupported" | "unavailable" };

/** Reads a message. Unexpected content is shown as text. */
export function readContent(message: Message): Content {
  // Nothing else is left of it, unless the workspace keeps it.
  if (message.deleted_at !== null && message.content === "" && message.media_url === null) {
    return { kind: "placeholder", reason: "deleted" };
  }
  const metadata = message.metadata ?? {};
  const kapsoType = textOf(metadata.kapso_type);
  if (kapsoType === "unsupported" || kapsoType === "unknown") {
    return message.content === "" || message.content.startsWith("[")
      ? { kind: "placeholder", reason: "unsupported" }
      : { kind: "text", text: message.content };
  }
  if (kapsoType === "media_placeholder") {
    return { kind: "placeholder", reason: "unavailable" };
  }
  switch (message.type) {
    case "image":
    case "video":
    case "audio":
    case "file": {
      const media = kapsoType === "sticker" ? "sticker" : message.type;
      // A bridge sends [image] where there is no caption.
      const isBare = /^\[\w+\]$/.test(message.content);
      return { kind: "media", media, caption: isBare ? "" : message.content };
    }
    case "location":
      return readLocation(message);
    case "text":
      break;
  }
  if (kapsoType === "contacts") return readCards(message) ?? asText(message);
  if (kapsoType === "order") return readOrder(message) ?? asText(message);
  if (kapsoType === "template") {
    return { ...asText(message), label: "template" };
  }
  if (kapsoType === "system") return { ...asText(message), label: "system" };
  if (
    message.direction === "inbound" &&
    (kapsoType === "interactive" || kapsoType === "button")
  ) {
    return { ...asText(message), label: "answer" };
  }
  return asText(message);
}

function asText(message: Message): { kind: "text"; text: string } {
  return { kind: "text", text: message.content };
}

function readLocation(message: Message): Content {
  const place = objectOf(message.metadata?.location);
  const latitude = numberOf(place.latitude);
  const longitude = numberOf(place.longitude);
  const written = /^(-?\d+(?:\.\d+)?),\s*(-?\d+(?:\.\d+)?)$/.exec(
    message.content,
  );
  const point = latitude !== undefined && longitude !== undefined
    ? { latitude, longitude }
    : written
    ? { latitude: Number(written[1]), longitude: Number(written[2]) }
    : undefined;
  const isValid = point && Math.abs(point.latitude) <= 90 &&
    Math.abs(point.longitude) <= 180;
  const content = written || message.content === "[location]" ? undefined : message.content;
  return {
    kind: "location",
    name: textOf(place.name) ??
      (textOf(place.address) === content ? undefined : content),
    address: textOf(place.address),
    point: isValid ? point : undefined,
  };
}

function readCards(message: Message): Content | undefined {
  const cards = arrayOf(message.metadata?.contacts).map(objectOf).map(
    (card) => {
      const name = objectOf(card.name);
      return {
        name: textOf(name.formatted_name) ??
          [textOf(name.first_name), textOf(name.last_name)].filter(Boolean)
            .join(" "),
        phones: arrayOf(card.phones).map(objectOf)
          .flatMap((phone) => textOf(phone.phone) ?? textOf(phone.wa_id) ?? []),
        emails: arrayOf(card.emails).map(objectOf).flatMap((email) => textOf(email.email) ?? []),
      };
    },
  );
  return cards.length > 0 ? { kind: "contacts", cards } : undefined;
}

function readOrder(message: Message): Content | undefined {
  const order = objectOf(message.metadata?.order);
  const products = arrayOf(order.product_items).map(objectOf);
  if (products.length === 0) return undefined;
  return {
    kind: "order",
    text: textOf(order.text),
    items: products.map((product) => ({
      name: textOf(product.product_name) ??
        textOf(product.product_retailer_id) ?? "?",
      quantity: numberOf(product.quantity) ?? 1,
      price: numberOf(product.item_price),
    })),
    currency: products.map((product) => textOf(product.currency)).find(Boolean),
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value.trim() !== "" ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function arrayOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
