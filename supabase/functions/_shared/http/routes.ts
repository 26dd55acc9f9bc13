/**
 * Serves the routes of the contracts with Hono: reads and checks the input, and answers with what the
 * handler returns.
 *
 * @module
 */
import type { Context, Env, Hono } from "hono";
import type { BodyOf, RouteDefinition, RouteInput, StatusOf } from "../contracts/route.ts";
import { readJson, requireJson } from "./app.ts";
import { type LargeBodyRules, limitBody } from "./limit_body.ts";
import { readInput } from "./validation.ts";

/** A checked request, and the way to answer it. */
export interface Handled<Route extends RouteDefinition> extends RouteInput<Route> {
  /** Makes the answer: a status of the route with the body that goes with it. */
  reply<Status extends StatusOf<Route>>(status: Status, body: BodyOf<Route, Status>): Response;
}

/** Handles a checked request. It answers with `reply`, or with a stream or redirect. */
export type RouteHandler<Route extends RouteDefinition, E extends Env> = (
  request: Handled<Route>,
  context: Context<E>,
) => Promise<Response>;

/** Options of {@linkcode addRoute}. */
export interface AddRouteOptions {
  /** The JSON body in bytes at most: whole kilobytes or megabytes. Required where the route has a body. */
  readonly maxBodyBytes?: number;
  /** Who may send large bodies, and how many; required where `maxBodyBytes` is more than 64 KB. */
  readonly largeBodies?: LargeBodyRules;
  /** Code of the error for a wrong query; `invalid_request` by default. */
  readonly queryErrorCode?: string;
  /** Code of the error for a wrong path; `invalid_request` by default. */
  readonly pathErrorCode?: string;
  /** Reads the body as JSON with any Content-Type, or without one. */
  readonly anyMediaType?: boolean;
}

/**
 * Adds a route to an app. The checks run in this order: media type, size, path, query, body.
 *
 * @param app The app of the function, whose base path is the function's name.
 * @throws {AppError} at request time: unsupported_media_type (415), body_too_large (413), invalid_json
 *   (400), invalid_request (400).
 */
export function addRoute<const Route extends RouteDefinition, E extends Env>(
  app: Hono<E>,
  route: Route,
  handle: RouteHandler<NoInfer<Route>, E>,
  options: AddRouteOptions = {},
): void {
  const path = honoPath(route.path);
  if (route.body !== undefined) {
    if (options.maxBodyBytes === undefined) throw new Error(`${path} needs maxBodyBytes`);
    const limit = limitBody(options.maxBodyBytes, { large: options.largeBodies });
    app.on(route.method, [path], async (context, next) => {
      const isAbsent = route.bodyIsOptional && context.req.header("content-type") === undefined;
      return isAbsent || options.anyMediaType ? await next() : await requireJson(context, next);
    }, limit);
  }
  app.on(route.method, [path], async (context) => {
    const params = route.params && readInput(route.params, context.req.param(), {
      code: options.pathErrorCode,
    });
    const query = route.query && readInput(route.query, withoutEmpty(context.req.query()), {
      code: options.queryErrorCode,
    });
    const body = route.body && readInput(
      route.body,
      route.bodyIsOptional && context.req.header("content-type") === undefined
        ? {}
        : await readJson(context),
    );
    const reply = (status: number, body: object) => context.json(body, status as 200);
    // The checks above gave each part the type that the route says.
    const request = { params, query, body, reply } as unknown as Handled<Route>;
    return await handle(request, context);
  });
}

/** `/inbox/people/{id}` as Hono has it, below the function's base path: `/people/:id`. */
export function honoPath(path: string): string {
  const below = path.replace(/^\/[^/]+/, "").replaceAll(/\{(\w+)\}/g, ":$1");
  return below === "" ? "/" : below;
}

function withoutEmpty(query: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ""));
}
