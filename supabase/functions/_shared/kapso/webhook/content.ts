/**
 * The content of a message, by its type.
 *
 * `kapso.content` is a rendering for Kapso's own screen: with media it holds the file's public link, with
 * reactions and transcripts a sentence. So this reads the object of the type, and the rendering only for
 * unknown types.
 *
 * @module
 */
import type { Message } from "../../contracts/message.ts";
import { isObject } from "../../contracts/text.ts";
import type { WireMessage } from "./wire.ts";

/** Type and content of a message. */
export interface MessageContent {
  type: Message["type"];
  content: string;
  /** False where the event names a message without its content, as some statuses do. */
  isComplete: boolean;
}

/** Types whose object describes a file. */
export const MEDIA_TYPES: ReadonlyMap<string, Message["type"]> = new Map([
  ["image", "image"],
  ["sticker", "image"],
  ["video", "video"],
  ["audio", "audio"],
  ["document", "file"],
]);

const KNOWN_TYPES = [
  "text",
  ...MEDIA_TYPES.keys(),
  "location",
  "contacts",
  "reaction",
  "interactive",
  "button",
  "template",
  "order",
  "system",
  "unsupported",
];

/** Kapso's type of a message; where it has none, the type whose object it has. */
export function readKapsoType(message: WireMessage): string {
  return message.type || KNOWN_TYPES.find((type) => isObject(message[type])) || "unknown";
}

/** Reads the content of a message. */
export function readContent(message: WireMessage, kapsoType: string): MessageContent {
  const value = message[kapsoType];
  const body = isObject(value) ? value : {};
  const mediaType = MEDIA_TYPES.get(kapsoType);
  if (mediaType !== undefined) {
    return {
      type: mediaType,
      content: textOf(body.caption) ?? "",
      isComplete: isObject(value) || message.kapso?.media_url !== undefined,
    };
  }
  if (kapsoType === "location") {
    const { latitude, longitude } = body;
    const place = [textOf(body.name), textOf(body.address)].filter(Boolean).join(", ");
    const point = isNumeric(latitude) && isNumeric(longitude) ? `${latitude},${longitude}` : "";
    return {
      type: "location",
      content: place || point || "[location]",
      isComplete: isObject(value),
    };
  }
  const text = textContent(message, kapsoType, body);
  return {
    type: "text",
    content: text ?? (kapsoType === "text" ? "" : `[${kapsoType.slice(0, 64)}]`),
    isComplete: text !== undefined ||
      (kapsoType !== "text" && (isObject(value) || Array.isArray(value))),
  };
}

/** Content of the types that are shown as text. */
function textContent(
  message: WireMessage,
  kapsoType: string,
  body: Record<string, unknown>,
): string | undefined {
  const { kapso } = message;
  switch (kapsoType) {
    case "text":
      return textOf(body.body) ?? (kapso?.has_media ? undefined : textOf(kapso?.content));
    case "interactive":
      return interactiveText(body, kapso?.flow_response);
    case "button":
      return textOf(body.text) ?? textOf(body.payload);
    case "template":
      return templateText(body, kapso?.content, kapso?.has_media === true);
    case "contacts":
      return Array.isArray(message.contacts) ? contactsText(message.contacts) : undefined;
    case "order":
      return orderText(body, kapso?.order_text);
    case "system":
      return textOf(body.body);
    case "unsupported": {
      const detail = textOf(body.type);
      return `[Unsupported message${detail ? `: ${detail}` : ""}]`;
    }
    case "media_placeholder":
      return "[Media not available]";
    default:
      return stripUrls(kapso?.content);
  }
}

function interactiveText(
  interactive: Record<string, unknown>,
  flowResponse: unknown,
): string | undefined {
  const { button_reply: button, list_reply: row, nfm_reply: flow } = interactive;
  for (const reply of [button, row]) {
    if (isObject(reply)) return textOf(reply.title) ?? textOf(reply.id);
  }
  if (isObject(flow)) return answersText(flowResponse, flow.response_json) ?? textOf(flow.body);
  // The echo of an outbound message: header, body and footer as the phone shows them.
  const parts = [
    isObject(interactive.header) ? textOf(interactive.header.text) : undefined,
    isObject(interactive.body) ? textOf(interactive.body.text) : textOf(interactive.body),
    isObject(interactive.footer) ? textOf(interactive.footer.text) : undefined,
  ].filter((part) => part !== undefined);
  return parts.length > 0 ? parts.join("\n") : undefined;
}

/** Answers of a flow, one a line: `day: fri`. */
function answersText(flowResponse: unknown, responseJson: unknown): string | undefined {
  const answers = isObject(flowResponse) ? flowResponse : parseObject(responseJson);
  const lines = Object.entries(answers ?? {})
    .filter(([name]) => name !== "flow_token")
    .flatMap(([name, value]) => {
      const values = (Array.isArray(value) ? value : [value]).flatMap((item) =>
        textOf(item) ?? (isScalar(item) ? String(item) : [])
      );
      return values.length > 0 ? [`${name}: ${values.join(", ")}`] : [];
    });
  return lines.length > 0 ? lines.join("\n") : undefined;
}

function templateText(
  template: Record<string, unknown>,
  content: string | undefined,
  hasMedia: boolean,
): string | undefined {
  const rendered = hasMedia ? stripUrls(content) : textOf(content);
  // Sometimes a stub such as "[template: order_ready]"; then the parameters say more.
  if (rendered !== undefined && !/^\[?\s*template\s*:[^\]\n]*\]?$/i.test(rendered.trim())) {
    return rendered;
  }
  const name = textOf(template.name);
  const components = Array.isArray(template.components) ? template.components : [];
  const parameters = components.filter(isObject)
    .flatMap((component) => Array.isArray(component.parameters) ? component.parameters : [])
    .filter(isObject)
    .flatMap((parameter) => {
      const fallback = [parameter.currency, parameter.date_time].find(isObject)?.fallback_value;
      return textOf(parameter.text) ?? textOf(fallback) ?? [];
    });
  if (name === undefined) return rendered;
  return `[Template: ${name}]${parameters.length > 0 ? ` ${parameters.join(", ")}` : ""}`;
}

function contactsText(contacts: unknown[]): string | undefined {
  const cards = contacts.filter(isObject).map((card) => {
    const name = isObject(card.name)
      ? textOf(card.name.formatted_name) ??
        ([textOf(card.name.first_name), textOf(card.name.last_name)].filter(Boolean).join(" ") ||
          undefined)
      : undefined;
    const phones = (Array.isArray(card.phones) ? card.phones : []).filter(isObject)
      .map((phone) => textOf(phone.phone) ?? textOf(phone.wa_id));
    return `Contact: ${[name, ...phones].filter(Boolean).join(", ") || "?"}`;
  });
  return cards.length > 0 ? cards.join("\n") : undefined;
}

function orderText(
  order: Record<string, unknown>,
  kapsoText: string | undefined,
): string | undefined {
  const items = (Array.isArray(order.product_items) ? order.product_items : []).filter(isObject);
  const lines = items.map((item) => {
    const price = isNumeric(item.item_price)
      ? ` (${item.item_price}${textOf(item.currency) ? ` ${item.currency}` : ""})`
      : "";
    const quantity = isNumeric(item.quantity) ? String(item.quantity) : "1";
    return `${quantity} × ${textOf(item.product_retailer_id) ?? "?"}${price}`;
  });
  const parts = [
    textOf(order.text) ?? (lines.length === 0 ? textOf(kapsoText) : undefined),
    ...lines,
  ]
    .filter((part) => part !== undefined);
  return parts.length > 0 ? parts.join("\n") : undefined;
}

/** A rendering without its links: a media link opens the file without a key. */
function stripUrls(content: string | undefined): string | undefined {
  return textOf(
    content?.replace(/(?:\bURL:\s*)?\bhttps?:\/\/\S+/gi, "").replace(/[^\S\n]+/g, " ").trim(),
  );
}

/** A text with something in it, without NUL characters. */
export function textOf(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const clean = value.replaceAll("\0", "");
  return clean.trim() === "" ? undefined : clean;
}

function isNumeric(value: unknown): value is number | string {
  return (typeof value === "number" && Number.isFinite(value)) ||
    (typeof value === "string" && /^-?\d+(?:\.\d+)?$/.test(value));
}

function isScalar(value: unknown): value is number | boolean {
  return typeof value === "number" || typeof value === "boolean";
}

function parseObject(json: unknown): Record<string, unknown> | undefined {
  if (typeof json !== "string") return undefined;
  try {
    const value: unknown = JSON.parse(json);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
