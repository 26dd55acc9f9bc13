/**
 * Sends the documented requests of a function and checks every answer against the route's schema: its
 * status is documented, the schema takes it, and it has no field that the schema lacks.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import * as z from "zod";
import { routesOf } from "../../cli/openapi_paths.ts";
import type { RouteDefinition } from "../../supabase/functions/_shared/contracts/route.ts";

/** A request of a route. Values are as on the wire. */
export interface ContractRequest {
  /** Values of the parameters in the path. */
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: HeadersInit;
  /** Sent as JSON; a `FormData` as it is. */
  readonly body?: unknown;
  /** The status expected: a successful one of the route, or one of its errors. */
  readonly status: number;
}

/** The routes of a contract, of which each must be called once and succeed. */
export class ContractCheck {
  readonly #apiUrl: string;
  readonly #unchecked: Set<string>;

  /**
   * @param apiUrl Address of the stack.
   * @param contract A contract module, whose exported routes are checked.
   */
  constructor(apiUrl: string, contract: Readonly<Record<string, unknown>>) {
    this.#apiUrl = apiUrl;
    this.#unchecked = new Set(routesOf(contract).map((route) => route.operationId));
  }

  /**
   * Sends a request and checks the answer.
   *
   * @returns The parsed JSON, an array for JSON by line; undefined where the answer has no body.
   */
  // deno-lint-ignore no-explicit-any -- JSON of many shapes, each checked by its schema first.
  async send(route: RouteDefinition, request: ContractRequest): Promise<any> {
    const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name) => {
      const value = request.params?.[name];
      if (value === undefined) throw new Error(`${route.operationId} needs a value for ${name}`);
      return encodeURIComponent(value);
    });
    const query = new URLSearchParams(request.query).toString();
    const headers = new Headers(request.headers);
    const isForm = request.body instanceof FormData;
    if (request.body !== undefined && !isForm) headers.set("content-type", "application/json");
    const response = await fetch(
      `${this.#apiUrl}/functions/v1${path}${query === "" ? "" : `?${query}`}`,
      {
        method: route.method.toUpperCase(),
        headers,
        redirect: "manual",
        ...(request.body === undefined
          ? {}
          : { body: isForm ? request.body as FormData : JSON.stringify(request.body) }),
      },
    );
    const text = await response.text();
    assertEquals(response.status, request.status, `${route.operationId}: ${text.slice(0, 500)}`);
    if (request.status < 400) this.#unchecked.delete(route.operationId);
    const success = route.responses[request.status as 200];
    const schema = success ? success.body : route.errors[request.status as 400];
    assert(success || schema, `${route.operationId} does not document ${request.status}`);
    if (!schema) return undefined;
    if (success?.mediaType !== "application/x-ndjson") return checkBody(route, schema, text);
    return text.trim().split("\n").map((line) => checkBody(route, schema, line));
  }

  /** Fails where a route was never answered successfully. */
  assertComplete(): void {
    assertEquals([...this.#unchecked], [], "no request of these operations succeeded");
  }
}

function checkBody(route: RouteDefinition, schema: z.ZodType, text: string): unknown {
  const body: unknown = JSON.parse(text);
  const parsed = schema.safeParse(body);
  assert(
    parsed.success,
    `${route.operationId}: ${parsed.error && z.prettifyError(parsed.error)}\n${text.slice(0, 500)}`,
  );
  assertEquals(parsed.data, body, `${route.operationId} answers more than its schema says`);
  return body;
}
