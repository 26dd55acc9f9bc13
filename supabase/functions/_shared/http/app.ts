/**
 * The HTTP app of every function, built on Hono: request ids, the error boundary, limits of bodies and
 * methods.
 *
 * @module
 */
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { methodNotAllowed } from "hono/method-not-allowed";
import { requestId } from "hono/request-id";
import type { ApiError, MessagingError } from "../contracts/errors.ts";
import { DatabaseCallError } from "../database/errors.ts";
import { AppError } from "./errors.ts";
import { errorNames, type Log } from "./log.ts";
import { VERSION } from "./version.ts";

/** Variables that {@linkcode createApp} sets for every request. */
export type AppVariables = { Variables: { requestId: string } };

/** The environment of an app with variables of its own. */
export type AppEnv<Variables extends object> = { Variables: Variables & { requestId: string } };

/** Options of {@linkcode createApp}. */
export interface CreateAppOptions {
  /** Name of the function: its folder, and the first segment of its path. */
  name: string;
  log: Log;
  /** Monotonic clock in milliseconds, for durations in the log: `performance.now()`. */
  monotonic: () => number;
  /** Headers that browsers may send besides the ordinary ones. */
  allowHeaders: string[];
  /** Shape of an error's body, as the function's contract has it. */
  errorBody: (error: AppError, requestId: string) => Record<string, unknown>;
}

/** The body of an error in PostgREST's keys, for functions whose contract has no shape of its own. */
export function errorBody(error: AppError, requestId: string): ApiError {
  return {
    code: error.code,
    message: error.message,
    details: error.details ?? null,
    request_id: requestId,
  };
}

/** The body of an error of messaging-ingest and messaging-people. */
export function messagingErrorBody(error: AppError, requestId: string): MessagingError {
  return { error: error.message, code: error.code, request_id: requestId };
}

/**
 * A Hono app below `/<name>`, as Supabase routes requests to a function. It gives each request an id,
 * answers `OPTIONS`, logs one line per request, turns every thrown error into an answer, and adds the version.
 */
export function createApp<Variables extends object = object>(
  options: CreateAppOptions,
): Hono<AppEnv<Variables>> {
  const app = new Hono<AppEnv<Variables>>({ strict: false }).basePath(`/${options.name}`);
  app.use(requestId());
  app.use(
    cors({ origin: "*", allowHeaders: ["content-type", ...options.allowHeaders], maxAge: 86400 }),
  );
  app.use(async (context, next) => {
    const startedAt = options.monotonic();
    await next();
    context.header("X-Function-Version", VERSION);
    options.log(context.res.status >= 500 ? "error" : "info", "request", {
      function: options.name,
      request_id: context.get("requestId"),
      method: context.req.method,
      status: context.res.status,
      duration_ms: Math.round(options.monotonic() - startedAt),
    });
  });
  app.use(methodNotAllowed({
    app,
    onMethodNotAllowed(context, methods) {
      const allow = [...methods.filter((method) => method !== "HEAD"), "OPTIONS"].join(", ");
      context.header("Allow", allow);
      const error = new AppError(405, "method_not_allowed", `Method not allowed: use ${allow}`);
      return respond(context, error, options);
    },
  }));
  app.notFound((context) =>
    respond(context, new AppError(404, "not_found", "Path not found"), options)
  );
  app.onError((error, context) => {
    const failure = error instanceof AppError
      ? error
      : new AppError(500, "internal_error", "Internal server error", { cause: error });
    if (failure.status >= 500) {
      options.log("error", "failure", {
        function: options.name,
        request_id: context.get("requestId"),
        code: failure.code,
        cause: describeCause(failure.cause),
      });
    }
    return respond(context, failure, options);
  });
  return app;
}

/** A message of ours, or else the names of the errors: messages of other errors may quote the input. */
function describeCause(cause: unknown): string | undefined {
  if (cause instanceof DatabaseCallError) return cause.message;
  return cause === undefined ? undefined : errorNames(cause);
}

function respond(
  context: Context,
  error: AppError,
  options: CreateAppOptions,
): Response {
  if (error.retryAfterSeconds !== undefined) {
    context.header("Retry-After", String(error.retryAfterSeconds));
  }
  if (error.rateLimit !== undefined) {
    const { limit, windowSeconds } = error.rateLimit;
    // Structured fields of draft-ietf-httpapi-ratelimit-headers.
    context.header("RateLimit-Policy", `"${error.code}";q=${limit};w=${windowSeconds}`);
    context.header("RateLimit", `"${error.code}";r=0;t=${error.retryAfterSeconds}`);
  }
  return context.json(options.errorBody(error, context.get("requestId")), error.status);
}

/**
 * Middleware that hides validation errors from unauthenticated callers: a rejected request (400, 413, 415)
 * is authenticated before its error is sent. An accepted one is authenticated by the database call that
 * does its work.
 *
 * @param authenticate Throws for unknown callers. Called for rejected requests only.
 */
export function authenticateRefused(
  authenticate: (context: Context<AppVariables>) => Promise<unknown>,
): MiddlewareHandler<AppVariables> {
  return async (context, next) => {
    await next();
    const { error } = context;
    if (error instanceof AppError && [400, 413, 415].includes(error.status)) {
      await authenticate(context);
    }
  };
}

/**
 * Middleware that accepts only bodies declared as uncompressed JSON.
 *
 * @throws {AppError} unsupported_media_type or unsupported_content_encoding (415).
 */
export const requireJson: MiddlewareHandler = (context, next) => {
  const mediaType = (context.req.header("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
  if (mediaType !== "application/json") {
    throw new AppError(415, "unsupported_media_type", "Content-Type must be application/json");
  }
  const encoding = (context.req.header("content-encoding") ?? "").trim().toLowerCase();
  if (encoding !== "" && encoding !== "identity") {
    throw new AppError(
      415,
      "unsupported_content_encoding",
      "Content-Encoding is not supported: send the body uncompressed",
    );
  }
  return next();
};

/**
 * Reads a JSON body in UTF-8.
 *
 * @throws {AppError} invalid_json (400) if it cannot be parsed.
 */
export async function readJson(
  context: { req: { raw: { text(): Promise<string> } } },
): Promise<unknown> {
  try {
    // Hono's own reading would keep the text for as long as the request lasts.
    return JSON.parse(await context.req.raw.text());
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new AppError(400, "invalid_json", "Request body is not valid JSON", { cause });
  }
}
