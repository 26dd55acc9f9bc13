/**
 * The limits of a request's body: its size, and for large ones who may send it and how many there are at a time.
 *
 * Hono's own middleware copies a body whose length is not declared into a buffer that grows, before anybody asks for it.
 * A worker has 256 MB, so here the body is counted while the handler reads it.
 *
 * @module
 */
import type { Context, MiddlewareHandler } from "hono";
import { AppError } from "./errors.ts";
import { type BodyBudget, SMALL_BODY_BYTES } from "./large_bodies.ts";

/** How long a large body may take to arrive, once it may be read. */
const MAX_READ_MS = 60_000;

/** What is asked before more than {@linkcode SMALL_BODY_BYTES} of a body are read. */
export interface LargeBodyRules {
  /**
   * Makes sure that the caller is known.
   *
   * @returns A text that is the same for the same sender.
   * @throws {AppError} for callers that are not, whose body is then never read.
   */
  // deno-lint-ignore no-explicit-any -- the environments of the apps differ.
  authenticate: (context: Context<any>) => string | Promise<string>;
  budget: BodyBudget;
}

/** Options of {@linkcode limitBody}. */
export interface LimitBodyOptions {
  /** What to do instead, e.g. `split it into several requests`. */
  readonly advice?: string;
  /** Required where `maxBytes` is more than {@linkcode SMALL_BODY_BYTES}. */
  readonly large?: LargeBodyRules | undefined;
}

/**
 * Middleware that refuses bodies over `maxBytes`: at once where the length is declared, otherwise as soon as the handler
 * has read more than that. Large bodies are read from known callers alone, and a few at a time; their room is taken
 * until the request is answered.
 *
 * @param maxBytes Whole kilobytes, or whole megabytes.
 * @throws {AppError} body_too_large (413), body_too_slow (408), or as `options.large` throws: from the middleware, or
 *   from the reading of the body.
 */
export function limitBody(
  maxBytes: number,
  { advice, large }: LimitBodyOptions = {},
): MiddlewareHandler {
  if (maxBytes > SMALL_BODY_BYTES && large === undefined) {
    throw new Error(`bodies of ${maxBytes} bytes need rules for large ones`);
  }
  const tooLarge = () =>
    new AppError(
      413,
      "body_too_large",
      `Request body too large: at most ${sizeOf(maxBytes)}${advice ? `, ${advice}` : ""}`,
    );
  return async (context, next) => {
    const { raw } = context.req;
    if (raw.body === null) return await next();
    const declared = raw.headers.has("transfer-encoding")
      ? null
      : Number(raw.headers.get("content-length") ?? NaN);
    const isDeclared = declared !== null && Number.isSafeInteger(declared);
    if (isDeclared && declared <= SMALL_BODY_BYTES) {
      if (declared > maxBytes) throw tooLarge();
      return await next();
    }

    let isOver = false;
    let release = () => {};
    const admit = async (bytes: number) => {
      if (large === undefined) return;
      const taken = await large.budget(await large.authenticate(context), bytes);
      // The request was answered while it waited.
      if (isOver) taken();
      else release = taken;
    };
    try {
      if (isDeclared) {
        if (declared > maxBytes) {
          await large?.authenticate(context);
          throw tooLarge();
        }
        await admit(declared);
      }
      const { stream, stop } = limit(raw.body, {
        maxBytes,
        tooLarge,
        admit: isDeclared ? undefined : () => admit(maxBytes),
      });
      context.req.raw = new Request(raw, { body: stream });
      try {
        await next();
      } finally {
        stop();
      }
    } finally {
      isOver = true;
      release();
    }
  };
}

/** The same bytes, in buffers that fit them; ends with an error where a limit is exceeded. */
function limit(
  body: ReadableStream<Uint8Array>,
  { maxBytes, tooLarge, admit }: {
    maxBytes: number;
    tooLarge: () => Error;
    /** Called once, before the handler gets more than {@linkcode SMALL_BODY_BYTES}. Undefined: it is admitted. */
    admit: (() => Promise<void>) | undefined;
  },
): { stream: ReadableStream<Uint8Array>; stop: () => void } {
  let size = 0;
  let isAdmitted = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const startTimer = (controller: TransformStreamDefaultController<Uint8Array>) => {
    isAdmitted = true;
    timer = setTimeout(
      () =>
        controller.error(
          new AppError(
            408,
            "body_too_slow",
            `The request body took longer than ${
              MAX_READ_MS / 1000
            } s to arrive: send smaller requests`,
          ),
        ),
      MAX_READ_MS,
    );
  };
  const stop = () => clearTimeout(timer);
  const stream = body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      start(controller) {
        if (admit === undefined) startTimer(controller);
      },
      async transform(chunk, controller) {
        size += chunk.length;
        if (!isAdmitted && size > Math.min(SMALL_BODY_BYTES, maxBytes)) {
          await admit!();
          startTimer(controller);
        }
        if (size > maxBytes) throw tooLarge();
        controller.enqueue(isMostlyEmpty(chunk) ? chunk.slice() : chunk);
      },
      flush: stop,
    }),
  );
  return { stream, stop };
}

/** Each piece comes in a buffer of 64 KB, even if it has 16: a whole upload would occupy four times its size. */
function isMostlyEmpty(chunk: Uint8Array): boolean {
  return chunk.length * 2 < chunk.buffer.byteLength;
}

function sizeOf(bytes: number): string {
  const kilobytes = bytes / 1024;
  return kilobytes < 1024 ? `${kilobytes} KB` : `${kilobytes / 1024} MB`;
}
