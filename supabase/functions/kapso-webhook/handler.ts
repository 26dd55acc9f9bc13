/**
 * POST /kapso-webhook: signed events of Kapso.
 *
 * Kapso drops an event that gets no 200 within about two minutes, and switches the webhook off when too
 * many fail. So every signed event is recorded and answered with 200, even one that cannot be used. 401
 * means a bad signature and nothing else; 503 means that the event could not be recorded.
 *
 * @module
 */
import { receiveKapsoEvent } from "../_shared/contracts/kapso_webhook.ts";
import { createApp, errorBody } from "../_shared/http/app.ts";
import { AppError } from "../_shared/http/errors.ts";
import { parseJson } from "../_shared/http/json.ts";
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
  log: Log;
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

  app.post("/", limitBody(MAX_BODY_BYTES));
  addRoute(app, receiveKapsoEvent, async ({ reply }, { req, get }) => {
    const body = new Uint8Array(await req.raw.arrayBuffer());
    // Undefined where it is not JSON: a signed body is recorded nevertheless.
    const parsed = parseJson(new TextDecoder().decode(body));
    const signed = await readSigned(deps.store, body, parsed, req.header("x-webhook-signature"));
    const event = req.header("x-webhook-event");
    const payloadVersion = req.header("x-webhook-payload-version");
    const elements = normalize({ event, payloadVersion }, parsed)
      .map((element) => ifSigned(element, signed));
    const { id, state } = await deps.store.record({
      phoneNumberId: signed.find((phoneNumberId) => phoneNumberId !== undefined),
      event,
      idempotencyKey: req.header("x-idempotency-key"),
      body,
      elements,
    });
    deps.log(state === "failed" ? "error" : "info", "recorded", {
      request_id: get("requestId"),
      event_id: id,
      state,
      elements: elements.length,
    });
    const withFiles = phoneNumbersWithFiles(elements);
    if (withFiles.length > 0) deps.onFiles(withFiles);
    return reply(200, { received: true, id, state });
  });
  return (request) => app.fetch(request);
}

/**
 * The phone numbers that a body is signed for; undefined stands for a body that names none. Each number has
 * its own secret, so a body that names several counts only for those whose secret made the signature: the
 * owner of one number must not write into another.
 *
 * @throws {AppError} invalid_signature (401), webhook_secret_missing (503).
 */
async function readSigned(
  store: WebhookStore,
  body: BufferSource,
  parsed: unknown,
  signature: string | undefined,
): Promise<(string | undefined)[]> {
  if (!signature) throw badSignature();
  const named = readPhoneNumberIds(parsed).slice(0, MAX_PHONE_NUMBERS);
  const phoneNumberIds = named.length > 0 ? named : [undefined];
  const secrets = await Promise.all(phoneNumberIds.map((id) => store.readSecrets(id)));
  if (secrets.every((candidates) => candidates.length === 0)) {
    // The signature may be right, so this is no 401: Kapso retries until the secret is set.
    throw new AppError(
      503,
      "webhook_secret_missing",
      "No webhook secret is configured for this phone number",
      { retryAfterSeconds: 60 },
    );
  }
  const verified = await Promise.all(
    secrets.map((candidates) => verifySignature(body, signature, candidates)),
  );
  const signed = phoneNumberIds.filter((_, index) => verified[index] !== undefined);
  if (signed.length === 0) throw badSignature();
  return signed;
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
