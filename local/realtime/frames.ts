/**
 * Messages on the wire: the Phoenix protocol in its versions 1.0.0 (objects) and 2.0.0 (arrays), and Realtime's binary
 * frames for broadcasts.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** The versions of the protocol, as `vsn` in the address names them. */
export const VERSIONS = ["1.0.0", "2.0.0"] as const;
/** One version of the protocol. */
export type Version = typeof VERSIONS[number];

/** A message of a client. */
export interface ClientMessage {
  readonly topic: string;
  readonly event: string;
  /** JSON, or a broadcast that came as a binary frame. */
  readonly payload: unknown;
  readonly ref: string | null;
  readonly joinRef: string | null;
}

/** A broadcast whose payload is not read here: JSON text or bytes. */
export interface OpaqueBroadcast {
  readonly event: string;
  readonly encoding: "json" | "binary";
  readonly payload: Uint8Array;
  /** The id of the row, where the broadcast came from the database. */
  readonly id?: string;
}

/** A broadcast that came as JSON, in the form its sender gave it. */
export interface PlainBroadcast {
  readonly message: Readonly<Record<string, unknown>>;
}

/** A broadcast to all listeners of a channel. */
export type Broadcast = OpaqueBroadcast | PlainBroadcast;

/** A message of the server. */
export interface ServerMessage {
  readonly topic: string;
  readonly event: string;
  readonly payload: unknown;
  readonly ref?: string | null;
  readonly joinRef?: string | null;
}

/** What goes into one WebSocket message. */
export type Frame = string | Uint8Array<ArrayBuffer>;

const USER_BROADCAST_PUSH = 3;
const USER_BROADCAST = 4;
const MAX_FIELD_BYTES = 255;

/**
 * Reads a message.
 *
 * @throws {Error} when it has another form.
 */
export function decode(version: Version, data: string | ArrayBuffer): ClientMessage {
  if (typeof data !== "string") return decodeBinary(new Uint8Array(data));
  const json: unknown = JSON.parse(data);
  if (version === "2.0.0") {
    if (!Array.isArray(json)) throw new Error("not an array");
    const [joinRef, ref, topic, event, payload] = json;
    return checked({ joinRef, ref, topic, event, payload });
  }
  const { join_ref, ref, topic, event, payload } = (json ?? {}) as Record<string, unknown>;
  return checked({ joinRef: join_ref, ref, topic, event, payload });
}

function checked(fields: Record<keyof ClientMessage, unknown>): ClientMessage {
  const { topic, event, payload } = fields;
  if (typeof topic !== "string" || typeof event !== "string") {
    throw new Error("topic and event are required");
  }
  return { topic, event, payload, ref: refOf(fields.ref), joinRef: refOf(fields.joinRef) };
}

function refOf(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}

function decodeBinary(bytes: Uint8Array): ClientMessage {
  const [kind, ...sizes] = bytes.subarray(0, 6);
  const encoding = bytes[6];
  if (kind !== USER_BROADCAST_PUSH || sizes.length < 5 || encoding === undefined) {
    throw new Error("not a broadcast");
  }
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let offset = 7;
  const [joinRef, ref, topic, event, _metadata] = sizes.map((size) => {
    const end = offset + size;
    if (end > bytes.length) throw new Error("a field is cut off");
    const text = decoder.decode(bytes.subarray(offset, end));
    offset = end;
    return text;
  }) as [string, string, string, string, string];
  const payload: OpaqueBroadcast = {
    event,
    encoding: encoding === 0 ? "binary" : "json",
    payload: bytes.slice(offset),
  };
  return { topic, event: "broadcast", payload, ref: ref || null, joinRef: joinRef || null };
}

/** Whether the payload came as a binary frame. */
export function isOpaque(payload: unknown): payload is OpaqueBroadcast {
  return typeof payload === "object" && payload !== null &&
    (payload as OpaqueBroadcast).payload instanceof Uint8Array;
}

/** Writes a message of the server. */
export function encode(version: Version, message: ServerMessage): Frame {
  const { topic, event, payload, ref = null, joinRef = null } = message;
  return version === "2.0.0"
    ? JSON.stringify([joinRef, ref, topic, event, payload])
    : JSON.stringify({ topic, event, payload, ref, join_ref: joinRef });
}

/**
 * Writes a broadcast.
 *
 * @returns undefined if this version cannot carry it: bytes in 1.0.0, and names over 255 bytes in 2.0.0.
 */
export function encodeBroadcast(
  version: Version,
  topic: string,
  broadcast: Broadcast,
): Frame | undefined {
  if ("message" in broadcast) {
    return encode(version, { topic, event: "broadcast", payload: broadcast.message });
  }
  return version === "2.0.0" ? encodeBinary(topic, broadcast) : encodeText(topic, broadcast);
}

function encodeText(topic: string, broadcast: OpaqueBroadcast): Frame | undefined {
  if (broadcast.encoding !== "json") return undefined;
  const payload = {
    type: "broadcast",
    event: broadcast.event,
    payload: JSON.parse(new TextDecoder().decode(broadcast.payload)),
    ...(broadcast.id === undefined ? {} : { meta: { id: broadcast.id } }),
  };
  return encode("1.0.0", { topic, event: "broadcast", payload });
}

function encodeBinary(topic: string, broadcast: OpaqueBroadcast): Frame | undefined {
  const encoder = new TextEncoder();
  const metadata = broadcast.id === undefined ? "" : JSON.stringify({ id: broadcast.id });
  const fields = [topic, broadcast.event, metadata].map((field) => encoder.encode(field));
  if (fields.some((field) => field.length > MAX_FIELD_BYTES)) return undefined;
  const head = [
    USER_BROADCAST,
    ...fields.map((field) => field.length),
    broadcast.encoding === "json" ? 1 : 0,
  ];
  return Buffer.concat([Uint8Array.from(head), ...fields, broadcast.payload]);
}
