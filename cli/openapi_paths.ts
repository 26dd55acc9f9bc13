/**
 * Turns the routes of the contracts into paths of the OpenAPI document.
 *
 * @module
 */
import * as z from "zod";
import type {
  ZodOpenApiOperationObject,
  ZodOpenApiPathsObject,
  ZodOpenApiResponseObject,
} from "zod-openapi";
import type {
  ErrorStatus,
  RouteDefinition,
} from "../supabase/functions/_shared/contracts/route.ts";

/** What a function answers, and to whom. */
export interface FunctionDescription {
  /** Folder of the function: its tag, and the first segment of its paths. */
  name: string;
  /** What it is for, in a sentence. */
  description: string;
  paths: ZodOpenApiPathsObject;
}

/** What a status means, wherever it is answered. `docs/errors.md` lists the codes. */
const ERROR_DESCRIPTIONS: Readonly<Record<ErrorStatus, string>> = {
  400: "A field is missing or invalid; the message names it",
  401: "The key or token is missing or invalid",
  403: "The caller may not do this, or the connection is switched off",
  404: "Not found",
  405: "Method not allowed",
  408: "The body took too long to arrive",
  409: "Conflicts with the current state",
  413: "Too large",
  415: "Unsupported content type",
  422: "Refused; the message says what to change",
  429: "A limit is reached: retry after Retry-After",
  500: "Internal error",
  503: "Nothing was processed: retry after Retry-After",
};

/** The routes that a contract module exports. */
export function routesOf(contract: Readonly<Record<string, unknown>>): RouteDefinition[] {
  return Object.values(contract).filter((value): value is RouteDefinition =>
    typeof value === "object" && value !== null && "operationId" in value && "responses" in value
  );
}

/** Describes a function by the routes that its contract module exports. */
export function describeFunction(
  name: string,
  description: string,
  contract: Readonly<Record<string, unknown>>,
): FunctionDescription {
  const paths: ZodOpenApiPathsObject = {};
  for (const route of routesOf(contract)) {
    paths[route.path] = { ...paths[route.path], [route.method]: operationOf(name, route) };
  }
  return { name, description, paths };
}

function operationOf(tag: string, route: RouteDefinition): ZodOpenApiOperationObject {
  const content = route.rawBody
    ? { [route.rawBody.mediaType]: { schema: route.rawBody.schema } }
    : route.body
    ? { "application/json": { schema: route.body } }
    : undefined;
  return {
    operationId: route.operationId,
    tags: [tag],
    summary: route.summary,
    security: route.security.map((scheme) => ({ [scheme]: [] })),
    requestParams: {
      ...(route.params ? { path: route.params } : {}),
      ...(route.query ? { query: route.query } : {}),
      ...(route.headers ? { header: route.headers } : {}),
    },
    ...(content ? { requestBody: { required: !route.bodyIsOptional, content } } : {}),
    responses: Object.fromEntries([
      ...Object.entries(route.responses).map(([status, { description, body, mediaType }]) => [
        status,
        body || mediaType
          ? {
            description,
            content: { [mediaType ?? "application/json"]: { schema: body ?? z.file() } },
          }
          : { description },
      ]),
      ...Object.entries(route.errors).map((
        [status, schema],
      ): [string, ZodOpenApiResponseObject] => [
        status,
        {
          description: ERROR_DESCRIPTIONS[Number(status) as ErrorStatus],
          content: { "application/json": { schema } },
        },
      ]),
    ]),
  };
}
