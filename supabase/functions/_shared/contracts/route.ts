/**
 * A route of a function, defined once: its validation, the types of its handler and of its callers, and the
 * published OpenAPI document come from one object.
 *
 * @module
 */
import type * as z from "zod";

/** Ways to authenticate: names of the security schemes in `cli/openapi.ts`. */
export type SecurityScheme =
  | "agentKey"
  | "agentKeyHeader"
  | "connectionKey"
  | "kapsoSignature"
  | "serviceKey"
  | "userToken";

/** Statuses of errors that a route may answer with. */
export type ErrorStatus =
  | 400
  | 401
  | 403
  | 404
  | 405
  | 408
  | 409
  | 413
  | 415
  | 422
  | 429
  | 500
  | 503;

/** A successful answer. */
export interface RouteResponse {
  readonly description: string;
  /** Schema of the JSON body; absent where the body is not JSON. */
  readonly body?: z.ZodType;
  /** Media type of a body that is not JSON, e.g. `application/x-ndjson`. */
  readonly mediaType?: string;
}

/** A route, described once. */
export interface RouteDefinition {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** Path below `/functions/v1`: the function's name first, parameters in braces. */
  readonly path: `/${string}`;
  readonly operationId: string;
  readonly summary: string;
  /** Alternatives; an empty list means that no authentication is needed. */
  readonly security: readonly SecurityScheme[];
  readonly params?: z.ZodObject;
  /** Parameters arrive as text; an empty one counts as absent. */
  readonly query?: z.ZodObject;
  /** Headers beyond those of the security scheme, for the document. */
  readonly headers?: z.ZodObject;
  /** The JSON body. */
  readonly body?: z.ZodType;
  /** Whether the body may be left out, which then counts as `{}`. */
  readonly bodyIsOptional?: boolean;
  /** A body that the handler reads itself: another media type than JSON, or checks in an order of its own. */
  readonly rawBody?: { readonly mediaType: string; readonly schema: z.ZodType };
  readonly responses: { readonly [Status in 200 | 201 | 202 | 204 | 302]?: RouteResponse };
  /** Schema of the body of errors, by status. */
  readonly errors: { readonly [Status in ErrorStatus]?: z.ZodType };
}

/** Names a route. Keeps its literal types, which the handler and the callers are checked against. */
export function defineRoute<const Route extends RouteDefinition>(route: Route): Route {
  return route;
}

/** The same schema for several statuses of errors. */
export function errorsOf<Schema extends z.ZodType, const Statuses extends readonly ErrorStatus[]>(
  schema: Schema,
  ...statuses: Statuses
): { readonly [Status in Statuses[number]]: Schema } {
  return Object.fromEntries(statuses.map((status) => [status, schema])) as {
    readonly [Status in Statuses[number]]: Schema;
  };
}

type Output<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

/** The checked parts of a request, as a handler gets them. */
export interface RouteInput<Route extends RouteDefinition> {
  readonly params: Output<Route["params"]>;
  readonly query: Output<Route["query"]>;
  readonly body: Output<Route["body"]>;
}

/** Successful statuses of a route. */
export type StatusOf<Route extends RouteDefinition> = keyof Route["responses"] & number;

/** The JSON body that goes with a status of a route. */
export type BodyOf<Route extends RouteDefinition, Status extends StatusOf<Route>> =
  Route["responses"][Status] extends { readonly body: infer Body extends z.ZodType } ? z.input<Body>
    : never;

/** The JSON body a caller sends. */
export type RequestOf<Route extends RouteDefinition> = Route["body"] extends z.ZodType
  ? z.input<Route["body"]>
  : Route["rawBody"] extends { readonly schema: infer Body extends z.ZodType } ? z.input<Body>
  : undefined;

/** The JSON body of a successful answer of any status. */
export type ResponseOf<Route extends RouteDefinition> = BodyOf<Route, StatusOf<Route>>;
