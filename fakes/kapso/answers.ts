/**
 * Reads and refuses requests of the fake.
 *
 * @module
 */

import type { Context } from "hono";
import type { PageOptions } from "./paging.ts";
import type { JsonObject } from "./state.ts";

/** An answer that ends a request early. */
export class Refusal extends Error {
  readonly status: number;
  readonly body: JsonObject;

  constructor(status: number, body: JsonObject) {
    super(`refused with ${status}`);
    this.status = status;
    this.body = body;
  }
}

/** Refuses as Kapso does. */
export function refuse(status: number, error: string, more: JsonObject = {}): never {
  throw new Refusal(status, { error, ...more });
}

/** Refuses as Meta does. */
export function refuseAsMeta(
  status: number,
  code: number,
  message: string,
  details?: string,
): never {
  throw new Refusal(status, {
    error: {
      message: `(#${code}) ${message}`,
      type: "OAuthException",
      code,
      ...(details === undefined ? {} : { error_data: { messaging_product: "whatsapp", details } }),
      fbtrace_id: "AfakeTrace",
    },
  });
}

/** Paging of a list without rows. */
export const NO_PAGES = { cursors: { before: null, after: null }, next: null, previous: null };

/** Whether a value passes a filter that may be absent. */
export function is(wanted: string | undefined, value: string | undefined): boolean {
  return wanted === undefined || wanted === value;
}

/** Reads a time of a query, in milliseconds. */
export function instantOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) ? refuse(400, "Invalid time") : time;
}

/** Reads the paging options of a query. */
export function pageOptions(context: Context): PageOptions {
  const { limit, after, before } = context.req.query();
  const wanted = limit === undefined ? 20 : Number(limit);
  if (!Number.isInteger(wanted) || wanted < 1) {
    return refuse(400, "limit must be between 1 and 100");
  }
  return {
    limit: Math.min(wanted, 100),
    ...(after === undefined ? {} : { after }),
    ...(before === undefined ? {} : { before }),
    onBadCursor: () => refuse(400, "Invalid cursor"),
  };
}

/** Reads a body, which must be a JSON object. */
export async function readBody(context: Context, mayBeEmpty = false): Promise<JsonObject> {
  const text = await context.req.text();
  if (mayBeEmpty && text === "") return {};
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null && !Array.isArray(body)) {
      return body as JsonObject;
    }
  } catch { /* Refused below. */ }
  return refuse(400, "Malformed JSON");
}

/** Reads the object in a body's only field. */
export function wrapped(body: JsonObject, name: string): JsonObject {
  const inner = body[name];
  if (typeof inner === "object" && inner !== null) return inner as JsonObject;
  return refuse(400, `param is missing or the value is empty: ${name}`);
}
