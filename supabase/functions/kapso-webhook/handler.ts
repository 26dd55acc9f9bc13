/**
 * POST /kapso-webhook: signed events of Kapso.
 *
 * Kapso drops an event that gets no 200 within about two minutes, and switches the webhook off when too
 * many fail. So every signed event is recorded and answered with 200, even one that cannot be used. While a number has
 * no queue, an event is processed before the answer; else it waits, and the function processes the queue afterwards. 401
 * means a bad signature and nothing else; 503 means that the event could not be recorded.
 *
 * @module
 */
import { receiveKapsoEvent } from "../_shared/contracts/kapso_webhook.ts";
import { createApp, errorBody } from "../_shared/http/app.ts";
import { AppError } from "../_shared/http/errors.ts";
import { parseJson } from "../_shared/http/json.ts";
import { createBodyBudget } from "../_shared/http/large_bodies.ts";
import { limitBody } from "../_shared/http/limit_body.ts";
import type { Log } from "../_shared/http/log.ts";
import { addRoute } from "../_shared/http/routes.ts";
import { MEDIA_TYPES } from "../_shared/kapso/webhook/content.ts";
import type { NormalizedElement } from "../_shared/kapso/webhook/elements.ts";
import { normalize, readPhoneNumberIds } from "../_shared/kapso/webhook/normalize.ts";
import { verifySignature } from "../_shared/kapso/webhook/signature.ts";
import type { WebhookStore } from "./store.ts";

/**
 * The body of a request, in bytes: Meta's own limit for a webhook is 3 MB. Recording a body takes twenty times its size
 * of a worker's memory.
 */
export const MAX_BODY_BYTES = 3.5 * 1024 * 1024;
/** Phone numbers whose secrets are tried for one body. Kapso sends events of one number at a time. */
const MAX_PHONE_NUMBERS = 10;
const FILE_TYPES: ReadonlySet<string> = new Set(MEDIA_TYPES.values());

/** What the handler needs from outside. */
export interface HandlerDeps {
  store: WebhookStore;
  /** Starts to copy files; called with the phone numbers whose messages brought some. Must not throw. */
  onFiles: (phoneNumberIds: string[]) => void;
  /** Starts to process the events that wait for a phone number; called when one was only recorded. Must not throw. */
  onQueued: (phoneNumberId: string) => void;
  log: Log;
  /** The time of day: when a message without a time of its own was sent. */
  now: () => Date;
  /** Monotonic clock, milliseconds. */
  monotonic: () => number;
}

/** Creates the handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createApp({
    name: "kapso-webhook",
    log: deps.log,
    monotonic: deps.monotonic,
    allowHeaders: [],
    errorBody,
  });

  app.post(
    "/",
    // Without one no secret can fit, so the body is not read.
    ({ req }, next) => {
      if (!req.header("x-webhook-signature")) throw badSignature();
      return next();
    },
    limitBody(MAX_BODY_BYTES, {
      large: {
        // Only the whole body tells who sent it: the large ones of all senders share a budget.
        authenticate: () => "kapso",
        budget: createBodyBudget({ maxBytes: MAX_BODY_BYTES + 1024 * 1024 }),
      },
    }),
  );
  addRoute(app, receiveKapsoEvent, async ({ reply }, { req, get }) => {
    const body = new Uint8Array(await req.raw.arrayBuffer());
    // Undefined where it is not JSON: a signed body is recorded nevertheless.
    const parsed = parseJson(new TextDecoder().decode(body));
    const signature = req.header("x-webhook-signature");
    const event = req.header("x-webhook-event");
    const payloadVersion = req.header("x-webhook-payload-version");
    const normalized = normalize({ event, payloadVersion, arrivedAt: deps.now() }, parsed);
    const record = async (isFresh: boolean) => {
      const { signed, version } = await readSigned(
        deps.store,
        { body, parsed, signature },
        isFresh,
      );
      const elements = normalized.map((element) => ifSigned(element, signed));
      const phoneNumberId = signed.find((phoneNumberId) => phoneNumberId !== undefined);
      const recorded = await deps.store.record({
        phoneNumberId,
        event,
        idempotencyKey: req.header("x-idempotency-key"),
        body,
        elements,
        secretVersion: version,
      });
      return recorded && { ...recorded, phoneNumberId, elements };
    };
    // The secrets changed since they were read.
    const recorded = await record(false) ?? await record(true);
    if (recorded === undefined) throw new Error("the webhook secrets keep changing");
    const { id, state, phoneNumberId, elements } = recorded;
    deps.log(state === "failed" ? "error" : "info", "recorded", {
      request_id: get("requestId"),
      event_id: id,
      state,
      elements: elements.length,
    });
    if (state === "received" && phoneNumberId !== undefined) {
      // Its files are known once it is processed.
      deps.onQueued(phoneNumberId);
    } else {
      const withFiles = phoneNumbersWithFiles(elements);
      if (withFiles.length > 0) deps.onFiles(withFiles);
    }
    return reply(200, { received: true, id, state });
  });
  return (request) => app.fetch(request);
}

/** What a signature is checked against. */
interface SignedBody {
  body: BufferSource;
  parsed: unknown;
  signature: string | undefined;
}

/**
 * The phone numbers that a body is signed for; undefined stands for a body that names none. Each number has
 * its own secret, so a body that names several counts only for those whose secret made the signature: the
 * owner of one number must not write into another.
 *
 * @param isFresh Trusts no remembered secret.
 * @returns The numbers, and the version of the secret where it was a remembered one.
 * @throws {AppError} invalid_signature (401), webhook_secret_missing (503).
 */
async function readSigned(
  store: WebhookStore,
  { body, parsed, signature }: SignedBody,
  isFresh: boolean,
): Promise<{ signed: (string | undefined)[]; version: string | undefined }> {
  if (!signature) throw badSignature();
  const named = readPhoneNumberIds(parsed).slice(0, MAX_PHONE_NUMBERS);
  const phoneNumberIds = named.length > 0 ? named : [undefined];
  const canRemember = phoneNumberIds.length === 1 && !isFresh;
  const known = await Promise.all(
    phoneNumberIds.map((id) => store.readSecrets(id, !canRemember)),
  );
  const verified = await Promise.all(
    known.map(({ secrets }) => verifySignature(body, signature, secrets)),
  );
  const signed = phoneNumberIds.filter((_, index) => verified[index] !== undefined);
  if (signed.length > 0) {
    return { signed, version: phoneNumberIds.length === 1 ? known[0]!.version : undefined };
  }
  // The secret may be newer than the remembered one.
  if (known.some(({ isRemembered }) => isRemembered)) {
    return await readSigned(store, { body, parsed, signature }, true);
  }
  if (known.every(({ secrets }) => secrets.length === 0)) {
    // The signature may be right, so this is no 401: Kapso retries until the secret is set.
    throw new AppError(
      503,
      "webhook_secret_missing",
      "No webhook secret is configured for this phone number",
      { retryAfterSeconds: 60 },
    );
  }
  throw badSignature();
}

function badSignature(): AppError {
  return new AppError(401, "invalid_signature", "Missing or invalid X-Webhook-Signature");
}

/** The element itself, or an ignored one where the body is not signed for its phone number. */
function ifSigned(element: NormalizedElement, signed: (string | undefined)[]): NormalizedElement {
  return element.kind === "ignored" || signed.includes(element.phoneNumberId)
    ? element
    : { kind: "ignored", reason: "other_phone_number" };
}

function phoneNumbersWithFiles(elements: NormalizedElement[]): string[] {
  const phoneNumberIds = elements.flatMap((element) =>
    element.kind === "conversation" &&
      element.conversation.messages.some(({ type }) => FILE_TYPES.has(type))
      ? [element.phoneNumberId]
      : []
  );
  return [...new Set(phoneNumberIds)];
}
