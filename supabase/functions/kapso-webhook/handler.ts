/**
 * POST /kapso-webhook: signed events of Kapso.
 *
 * Kapso forgets an event that is not answered with 200 within about two minutes, and switches the
 * webhook off when too many fail. So whatever is signed is recorded and answered with 200, also what
 * cannot be used; 401 is for a bad signature alone, 503 for an event that could not be recorded.
 *
 * @module
 */
import { AppError } from "../_shared/http/errors.ts";
import { createApp, errorBody, limitBody } from "../_shared/http/app.ts";
import { verifySignature } from "../_shared/kapso/webhook/signature.ts";
import type { Log } from "../_shared/http/log.ts";
import { MEDIA_TYPES } from "../_shared/kapso/webhook/content.ts";
import type { NormalizedElement } from "../_shared/kapso/webhook/elements.ts";
import { normalize, readPhoneNumberIds } from "../_shared/kapso/webhook/normalize.ts";

/** The body of a request, in bytes. Meta's own limit for a webhook is 3 MB. */
export const MAX_BODY_BYTES = 10 * 1024 * 1024;
/** Lines whose secrets are tried for one body. Kapso sends events of one line at a time. */
const MAX_LINES = 10;
const FILE_TYPES: ReadonlySet<string> = new Set(MEDIA_TYPES.values());

/** An event as it is recorded. */
export interface WebhookEvent {
  /** The line whose secret signed it; undefined where the body names none. */
  phoneNumberId: string | undefined;
  event: string | undefined;
  /** The same for each repeat of a delivery. */
  idempotencyKey: string | undefined;
  body: Uint8Array;
  elements: NormalizedElement[];
}

/** What the handler needs of the outside world. */
export interface HandlerDeps {
  /**
   * The secrets with which events about this line are signed: those of its connection, else the
   * project's; empty where neither is known.
   */
  secretsFor: (phoneNumberId: string | undefined) => Promise<string[]>;
  /**
   * Record an event and process it.
   *
   * @throws {AppError} as `databaseError`, if it could not be recorded.
   */
  record: (event: WebhookEvent) => Promise<{ id: number; state: string }>;
  /** Called with the lines whose messages brought files, to copy them. Must not throw, nor be waited for. */
  onFiles: (phoneNumberIds: string[]) => void;
  log: Log;
  now: () => number;
}

/** The handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createApp({
    name: "kapso-webhook",
    log: deps.log,
    now: deps.now,
    allowHeaders: [],
    errorBody,
  });

  app.post("/", limitBody(MAX_BODY_BYTES), async (context) => {
    const body = new Uint8Array(await context.req.arrayBuffer());
    const parsed = parse(body);
    const lines = await signedLines(deps, body, parsed, context.req.header("x-webhook-signature"));
    const event = context.req.header("x-webhook-event");
    const elements = normalize({
      event,
      payloadVersion: context.req.header("x-webhook-payload-version"),
    }, parsed)
      .map((element) => ofLines(element, lines));
    const recorded = await deps.record({
      phoneNumberId: lines.find((line) => line !== undefined),
      event,
      idempotencyKey: context.req.header("x-idempotency-key"),
      body,
      elements,
    });
    deps.log(recorded.state === "failed" ? "error" : "info", "recorded", {
      request_id: context.get("requestId"),
      event_id: recorded.id,
      state: recorded.state,
      elements: elements.length,
    });
    const withFiles = linesWithFiles(elements);
    if (withFiles.length > 0) deps.onFiles(withFiles);
    return context.json({ received: true, id: recorded.id, state: recorded.state });
  });
  return (request) => app.fetch(request);
}

/** The body as JSON, or undefined where it is none: it may be signed, and is kept then all the same. */
function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}

/**
 * The lines for which a body is signed. Each line has its own secret, so a body that names several is
 * believed only for those whose secret made the signature: the owner of one must not write into another.
 *
 * @throws {AppError} invalid_signature (401), webhook_secret_missing (503).
 */
async function signedLines(
  deps: HandlerDeps,
  body: Uint8Array<ArrayBuffer>,
  parsed: unknown,
  signature: string | undefined,
): Promise<(string | undefined)[]> {
  if (!signature) throw badSignature();
  const named = readPhoneNumberIds(parsed).slice(0, MAX_LINES);
  const lines = named.length > 0 ? named : [undefined];
  const secrets = await Promise.all(lines.map((line) => deps.secretsFor(line)));
  if (secrets.every((candidates) => candidates.length === 0)) {
    // Nobody can sign for this line yet. Kapso keeps trying for a while, and a bad signature it is not.
    throw new AppError(
      503,
      "webhook_secret_missing",
      "No webhook secret is configured for this number",
      {
        retryAfterSeconds: 60,
      },
    );
  }
  const verified = await Promise.all(
    secrets.map((candidates) => verifySignature(body, signature, candidates)),
  );
  const signed = lines.filter((_, index) => verified[index] !== undefined);
  if (signed.length === 0) throw badSignature();
  return signed;
}

function badSignature(): AppError {
  return new AppError(401, "invalid_signature", "Missing or invalid X-Webhook-Signature");
}

/** The element itself, or what is left of it where the body is not signed for its line. */
function ofLines(element: NormalizedElement, lines: (string | undefined)[]): NormalizedElement {
  return element.kind === "ignored" || lines.includes(element.phoneNumberId)
    ? element
    : { kind: "ignored", reason: "other_line" };
}

function linesWithFiles(elements: NormalizedElement[]): string[] {
  const lines = elements.flatMap((element) =>
    element.kind === "conversation" &&
      element.conversation.messages.some(({ type }) => FILE_TYPES.has(type))
      ? [element.phoneNumberId]
      : []
  );
  return [...new Set(lines)];
}
