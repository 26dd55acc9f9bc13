/**
 * The handlers of the functions without a network or a database: real code down to the database
 * client, and a fake one behind it.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";

import {
  findKeyHolder,
  type VerifiedConnection,
  verifyApiKey,
} from "../../supabase/functions/_shared/auth/api_keys.ts";
import type { DatabaseClient } from "../../supabase/functions/_shared/database/clients.ts";
import { sha256Hex } from "../../supabase/functions/_shared/auth/hash.ts";
import type { IngestConversation } from "../../supabase/functions/_shared/contracts/ingest_conversation.ts";
import type {
  ConversationStore,
  StoredConversation,
} from "../../supabase/functions/_shared/messages/conversation_store.ts";
import type { Log } from "../../supabase/functions/_shared/http/log.ts";
import { createHandler as createIngestHandler } from "../../supabase/functions/messaging-ingest/handler.ts";
import { createHandler as createPeopleHandler } from "../../supabase/functions/messaging-people/handler.ts";
import type { PeopleStore } from "../../supabase/functions/messaging-people/store.ts";

/** What must never be in a log. The builders below use nothing else. */
export const PRIVATE = {
  key: "msg_0123456789abcdef0123456789abcdef",
  phone: "+6281298765432",
  name: "Sari Wijaya",
  text: "my card number is secret",
  url: "https://media.example.com/passport.jpg",
} as const;

/** A connection of the fake database. */
export const CONNECTION = {
  id: "6f1f1c52-5b3c-4d4e-9d46-0d2f6a6f0a01",
  workspaceId: "6f1f1c52-5b3c-4d4e-9d46-0d2f6a6f0a02",
  connectionId: "wa_test",
  platform: "whatsapp",
} as const;

/** What a call of the database ends with. */
export interface RpcAnswer {
  data: unknown;
  error: { code?: string; message: string; details?: string } | null;
  status: number;
}

/** A client whose calls are answered by a function. */
export function fakeClient(
  answer: (name: string, args: Record<string, unknown>) => RpcAnswer | Promise<RpcAnswer>,
): DatabaseClient {
  return {
    rpc: async (name: string, args: Record<string, unknown>) => await answer(name, args),
  } as unknown as DatabaseClient;
}

/** How the fake database is to behave. */
export interface FakeOptions {
  isActive?: boolean;
  /** What the look-up of the key ends with, instead of an answer. */
  keyFailure?: Pick<RpcAnswer, "error" | "status">;
  /** Replaces the store, which by default creates everything. */
  ingest?: ConversationStore["ingest"];
  /** Replaces the list of people, which by default is empty. */
  listPeople?: PeopleStore["list"];
}

/** A handler, and what it has said and stored. */
export interface Harness {
  send(request: Request): Promise<Response>;
  readonly logged: string[];
  readonly stored: { connectionId: string; conversations: IngestConversation[] }[];
}

const everythingLogged: string[] = [];

// The log lines of all tests of a file.
Deno.test.afterAll(() => {
  for (const line of everythingLogged) {
    for (const [what, text] of Object.entries(PRIVATE)) {
      assert(!line.includes(text), `the log shows the ${what}: ${line}`);
    }
  }
});

/** The handler of messaging-ingest. */
export function ingestHarness(options: FakeOptions = {}): Harness {
  return harness(options, (deps, stored) =>
    createIngestHandler({
      ...deps,
      store: {
        ingest(connectionId, conversations) {
          stored.push({ connectionId, conversations });
          return options.ingest?.(connectionId, conversations) ??
            Promise.resolve(conversations.map(created));
        },
        async ingestWithKey({ apiKey, connectionId, platform }, conversations) {
          const { id } = await deps.verifyApiKey(apiKey, connectionId, platform);
          return { connectionId: id, stored: await this.ingest(id, conversations) };
        },
        change: (_connectionId, changes) =>
          Promise.resolve(changes.map(() => ({ outcome: "applied" }))),
      },
    }));
}

/** The handler of messaging-people. */
export function peopleHarness(options: FakeOptions = {}): Harness {
  return harness(options, (deps) =>
    createPeopleHandler({
      ...deps,
      store: {
        list: options.listPeople ?? (() => Promise.resolve({ total: 0, people: [] })),
      },
    }));
}

interface CommonDeps {
  findKeyHolder: (apiKey: string) => Promise<VerifiedConnection | undefined>;
  verifyApiKey: (
    apiKey: string,
    connectionId: string,
    platform?: string,
  ) => ReturnType<typeof verifyApiKey>;
  log: Log;
  monotonic: () => number;
}

function harness(
  options: FakeOptions,
  create: (
    deps: CommonDeps,
    stored: Harness["stored"],
  ) => (request: Request) => Response | Promise<Response>,
): Harness {
  const logged: string[] = [];
  const stored: Harness["stored"] = [];
  const client = keyClient(options);
  const handler = create({
    findKeyHolder: (apiKey) => findKeyHolder(client, apiKey),
    verifyApiKey: (apiKey, connectionId, platform) =>
      verifyApiKey(client, apiKey, connectionId, platform),
    log: (level, event, fields) => {
      const line = JSON.stringify({ level, event, ...fields });
      logged.push(line);
      everythingLogged.push(line);
    },
    monotonic: () => 0,
  }, stored);
  return { send: async (request) => await handler(request), logged, stored };
}

/** A database in which there is CONNECTION alone, and PRIVATE.key opens it. */
function keyClient({ isActive = true, keyFailure }: FakeOptions): DatabaseClient {
  return fakeClient(async (name, { connection_id, platform, secret_sha256 }) => {
    if (keyFailure) return { data: null, ...keyFailure };
    const isKey = secret_sha256 === await sha256Hex(PRIVATE.key);
    if (name === "find_connection_by_secret") {
      const { id, workspaceId, connectionId, platform } = CONNECTION;
      const found = { id, connection_id: connectionId, platform, is_active: isActive };
      return {
        status: 200,
        error: null,
        data: isKey ? [{ ...found, workspace_id: workspaceId }] : [],
      };
    }
    const isKnown = connection_id === CONNECTION.connectionId &&
      (platform === undefined || platform === CONNECTION.platform);
    return {
      status: 200,
      error: null,
      data: isKnown
        ? [{
          id: CONNECTION.id,
          workspace_id: CONNECTION.workspaceId,
          is_valid: isKey,
          is_active: isActive,
        }]
        : [],
    };
  });
}

function created(_: IngestConversation, index: number): StoredConversation {
  return { id: `id-${index}`, outcome: "created", messagesAdded: 1 };
}

/** What a caller sees of an answer: everything but the id of the request, which is checked here. */
export async function answerOf(response: Response): Promise<Record<string, unknown>> {
  const { request_id, ...body } = await response.json();
  if (response.status >= 400) {
    assertEquals(request_id, response.headers.get("x-request-id"));
    assert(String(request_id).length >= 8, "the answer has no request id");
  }
  return { status: response.status, ...body };
}

/** A request to messaging-ingest with the right key and media type. */
export function ingestRequest(
  body: BodyInit | Record<string, unknown> | null,
  init: RequestInit & { path?: string } = {},
): Request {
  const { path = "/messaging-ingest", headers, ...rest } = init;
  return new Request(`http://localhost${path}`, {
    method: "POST",
    body: isPlainObject(body) ? JSON.stringify(body) : body,
    ...rest,
    headers: withHeaders({ "content-type": "application/json", "x-api-key": PRIVATE.key }, headers),
  });
}

/** A request to messaging-people with the right headers. */
export function peopleRequest(query = "", init: RequestInit & { path?: string } = {}): Request {
  const { path = "/messaging-people", headers, ...rest } = init;
  return new Request(`http://localhost${path}${query}`, {
    ...rest,
    headers: withHeaders(
      { "x-api-key": PRIVATE.key, "x-connection-id": CONNECTION.connectionId },
      headers,
    ),
  });
}

/** The defaults with other values; an empty value takes the header away. */
function withHeaders(defaults: Record<string, string>, given: HeadersInit = {}): Headers {
  const headers = new Headers(defaults);
  for (const [name, value] of new Headers(given)) {
    if (value === "") headers.delete(name);
    else headers.set(name, value);
  }
  return headers;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** The body of a request with one conversation. */
export function batch(...conversations: unknown[]): Record<string, unknown> {
  return {
    platform: CONNECTION.platform,
    connection_id: CONNECTION.connectionId,
    conversations: conversations.length > 0 ? conversations : [conversation()],
  };
}

/** A conversation of a request. An override of `undefined` takes the field away. */
export function conversation(overrides: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    external_conversation_id: "chat_1",
    participant_identifier: PRIVATE.phone,
    participant_name: PRIVATE.name,
    messages: [message()],
    ...overrides,
  };
}

/** A message of a request. */
export function message(overrides: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id: "msg_1",
    direction: "inbound",
    type: "text",
    content: PRIVATE.text,
    media_url: PRIVATE.url,
    sent_at: "2026-02-01T10:30:00Z",
    ...overrides,
  };
}
