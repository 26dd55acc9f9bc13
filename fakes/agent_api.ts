/**
 * A fake of the conversation-sync API that gives the answers a test sets, good or bad, and records requests.
 *
 * @module
 */

import type { LogFields, Logger } from "../clients/conversation-sync/src/mod.ts";
import {
  ConversationStateService,
  type ConversationStateServiceOptions,
} from "../clients/conversation-sync/src/mod.ts";

/** A request as it arrived. */
export interface Received {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: Headers;
  // deno-lint-ignore no-explicit-any -- JSON of many shapes, each checked by the test that gets it.
  readonly body: any;
  readonly atMs: number;
}

/** How to answer a request. */
export type Behaviour = (request: Received) => Response | Promise<Response>;

/** See {@linkcode startFakeApi}. */
export interface FakeApi extends AsyncDisposable {
  readonly url: string;
  /** In the order of arrival. */
  readonly requests: Received[];
  /** Answers the next requests, one each. Later requests get good answers. */
  next(...behaviours: Behaviour[]): void;
  /** Answers all further requests. */
  always(behaviour: Behaviour): void;
}

/** A session without faults. */
export const STATE = {
  sessionId: "bot_51999999999_1767000000000_abc",
  currentIntent: "idle",
  currentStep: "initial",
  context: {},
  isActive: true,
  version: 1,
};

/** A good answer. */
export function ok(data: unknown, status = 200): Behaviour {
  return () => Response.json({ type: "1", message: "Done", data }, { status });
}

/** An error as the API answers it. */
export function failure(
  status: number,
  { code = "some_code", headers = {}, data }: {
    code?: string;
    headers?: Record<string, string>;
    data?: unknown;
  } = {},
): Behaviour {
  const body = { type: "3", message: "The text of the API", code, request_id: "request-1", data };
  return () => Response.json(body, { status, headers });
}

/** A page, as proxies and captive portals send them. */
export function html(status: number): Behaviour {
  return () =>
    new Response("<html><body>Bad gateway</body></html>", {
      status,
      headers: { "content-type": "text/html" },
    });
}

/** A text. */
export function text(body: string, status = 200): Behaviour {
  return () => new Response(body, { status, headers: { "content-type": "application/json" } });
}

/** Sends half an answer, then closes the connection. */
export function cutOff(): Behaviour {
  return () => {
    const body = JSON.stringify({ type: "1", message: "Done", data: STATE });
    let isBegun = false;
    return new Response(
      new ReadableStream({
        pull(controller) {
          if (isBegun) return controller.error(new Error("cut off"));
          isBegun = true;
          controller.enqueue(new TextEncoder().encode(body.slice(0, 40)));
        },
      }),
      { headers: { "content-type": "application/json", "content-length": String(body.length) } },
    );
  };
}

/** Starts the fake. Its good answer to any request is {@linkcode STATE}. */
export function startFakeApi(): FakeApi {
  const requests: Received[] = [];
  const planned: Behaviour[] = [];
  let usual: Behaviour = ok(STATE);
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {}, onError: () => new Response() },
    async (request) => {
      const { pathname, search } = new URL(request.url);
      const body = await request.text();
      const received = {
        method: request.method,
        path: pathname + search,
        headers: request.headers,
        body: body === "" ? undefined : JSON.parse(body),
        atMs: performance.now(),
      };
      requests.push(received);
      return await (planned.shift() ?? usual)(received);
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    requests,
    next: (...behaviours) => void planned.push(...behaviours),
    always: (behaviour) => usual = behaviour,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** An answer that comes when the test releases it. */
export function held(): Disposable & { behaviour: Behaviour; arrived: Promise<void> } {
  const { promise: isReleased, resolve: release } = Promise.withResolvers<void>();
  const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
  return {
    behaviour: async (request) => {
      arrive();
      await isReleased;
      return ok(STATE)(request);
    },
    arrived,
    [Symbol.dispose]: () => release(),
  };
}

/** A line of a log. */
export interface Entry {
  readonly level: keyof Logger;
  readonly message: string;
  readonly fields: LogFields;
}

/** A log that a test can read. */
export function recordingLogger(): Logger & { readonly entries: Entry[] } {
  const entries: Entry[] = [];
  const record = (level: keyof Logger) => (message: string, fields: LogFields) =>
    void entries.push({ level, message, fields });
  return { entries, info: record("info"), warn: record("warn"), error: record("error") };
}

/** The key that tests send. */
export const KEY = "agt_KeyOfTheTestsOfTheClient00000001";

/** A service on a fake API, which retries without long waits and reads no environment. */
export function serviceOn(
  api: Pick<FakeApi, "url">,
  options: ConversationStateServiceOptions = {},
): ConversationStateService & { readonly entries: Entry[] } {
  const logger = recordingLogger();
  const service = new ConversationStateService({
    apiBaseUrl: api.url,
    apiKey: KEY,
    subDomain: "shop",
    env: {},
    retryDelayMs: 1,
    logger,
    ...options,
  });
  return Object.assign(service, { entries: logger.entries });
}
