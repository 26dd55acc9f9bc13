/**
 * The limit of a request's body.
 *
 * Hono's own middleware copies a body whose length is not declared into a buffer that grows, before anybody asks for it.
 * A worker has 256 MB, so here the body is counted while the handler reads it.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { AppError } from "./errors.ts";

/** From here on, the buffers of a body matter. */
const LARGE_BYTES = 1024 * 1024;

/**
 * Middleware that refuses bodies over `maxBytes`: at once where the length is declared, otherwise as soon as the handler
 * has read more than that.
 *
 * @param maxBytes Whole kilobytes, or whole megabytes.
 * @param advice What to do instead, e.g. `split it into several requests`.
 * @throws {AppError} body_too_large (413), from the middleware or from the reading of the body.
 */
export function limitBody(maxBytes: number, advice?: string): MiddlewareHandler {
  const tooLarge = () =>
    new AppError(
      413,
      "body_too_large",
      `Request body too large: at most ${sizeOf(maxBytes)}${advice ? `, ${advice}` : ""}`,
    );
  return async ({ req }, next) => {
    const { raw } = req;
    if (raw.body !== null) {
      const declared = raw.headers.has("transfer-encoding")
        ? null
        : raw.headers.get("content-length");
      if (Number(declared ?? 0) > maxBytes) throw tooLarge();
      if (declared === null || Number(declared) > LARGE_BYTES) {
        req.raw = new Request(raw, { body: limit(raw.body, maxBytes, tooLarge) });
      }
    }
    await next();
  };
}

/** The same bytes, in buffers that fit them; ends with the error after `maxBytes`. */
function limit(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
  tooLarge: () => Error,
): ReadableStream<Uint8Array> {
  let size = 0;
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        size += chunk.length;
        if (size > maxBytes) controller.error(tooLarge());
        else controller.enqueue(isMostlyEmpty(chunk) ? chunk.slice() : chunk);
      },
    }),
  );
}

/** Each piece comes in a buffer of 64 KB, even if it has 16: a whole upload would occupy four times its size. */
function isMostlyEmpty(chunk: Uint8Array): boolean {
  return chunk.length * 2 < chunk.buffer.byteLength;
}

function sizeOf(bytes: number): string {
  const kilobytes = bytes / 1024;
  return kilobytes < 1024 ? `${kilobytes} KB` : `${kilobytes / 1024} MB`;
}
