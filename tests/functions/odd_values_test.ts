/**
 * No value of a parameter or field is the server's fault: for anything that a caller puts there, the answer says what is wrong
 * with it and is never 5xx. Every parameter and field of every route, one at a time.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import * as z from "zod";
import { routesOf } from "../../cli/openapi_paths.ts";
import * as conversationSync from "../../supabase/functions/_shared/contracts/conversation_sync/index.ts";
import * as dailySummary from "../../supabase/functions/_shared/contracts/daily_summary.ts";
import * as inbox from "../../supabase/functions/_shared/contracts/inbox/index.ts";
import * as kapsoSync from "../../supabase/functions/_shared/contracts/kapso_sync.ts";
import * as messagingIngest from "../../supabase/functions/_shared/contracts/messaging_ingest.ts";
import * as messagingPeople from "../../supabase/functions/_shared/contracts/messaging_people.ts";
import type { RouteDefinition } from "../../supabase/functions/_shared/contracts/route.ts";
import * as workflowSettings from "../../supabase/functions/_shared/contracts/workflow_settings.ts";
import { createBusiness } from "../support/agents.ts";
import { size, useDatabase } from "../support/database.ts";
import { createPhoneNumber } from "../support/kapso_webhook.ts";
import { createBridge } from "../support/users.ts";

const database = useDatabase();

const CONTRACTS = [
  conversationSync,
  dailySummary,
  inbox,
  kapsoSync,
  messagingIngest,
  messagingPeople,
  workflowSettings,
];
/** Requests under way at once. */
const CALLERS = 6;
const NOBODYS_ID = "00000000-0000-4000-8000-0000000000ff";

/** Texts that parsers, Postgres and PostgREST treat in ways of their own, those that broke something first. */
const TEXTS = [
  "a\0b",
  "x",
  "0000-01-01",
  "0000-01-01T00:00:00Z",
  "x".repeat(3000),
  "\0",
  " ",
  "-1",
  "99999999999999999999",
  "{00000000-0000-4000-8000-0000000000ff}",
  "10000-01-01",
  "9999-12-31T23:59:59-23:59",
].slice(0, size(5, 12));
/** Values that only JSON has. */
const VALUES: unknown[] = [
  { "\0": "\0" },
  "\ud800",
  1e308,
  "",
  null,
  -1,
  true,
  [],
  ["\0"],
  {},
].slice(0, size(2, 10));

interface OddRequest {
  name: string;
  path: string;
  method: string;
  headers: Record<string, string>;
  body?: unknown;
}

Deno.test("odd values in any parameter or field are never a failure of the server", async () => {
  const requests = await oddRequests();
  const failed: string[] = [];
  const send = async ({ name, path, method, headers, body }: OddRequest) => {
    const response = await fetch(`${database.info.api_url}/functions/v1${path}`, {
      method,
      headers: {
        ...headers,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      redirect: "manual",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    // A key that looks like one is shown to Kapso, which the stack of the tests does not have.
    if (response.status >= 500 && !text.includes('"kapso_unavailable"')) {
      failed.push(`${name}: ${response.status} ${text.slice(0, 200)}`);
    }
  };
  const left = [...requests];
  await Promise.all(Array.from({ length: CALLERS }, async () => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) await send(next);
  }));
  assertEquals(failed, []);
});

/** A request for each odd value at each place where the contracts take one. */
async function oddRequests(): Promise<OddRequest[]> {
  const { info } = database;
  const business = await createBusiness(info);
  const connection = await createPhoneNumber(business);
  const bridge = await createBridge(business, "telegram");
  const { data: { session } } = await business.client.auth.getSession();
  const headersOf: Record<string, Record<string, string>> = {
    agentKey: { authorization: `Bearer ${business.key}` },
    connectionKey: { "x-api-key": bridge.api_key, "x-connection-id": bridge.connection_id },
    serviceKey: { apikey: info.secret_key },
    userToken: {
      apikey: info.publishable_key,
      authorization: `Bearer ${session!.access_token}`,
    },
  };
  /** Values that lead as far into each function as a name alone can. */
  const known: Record<string, unknown> = {
    workspace: business.workspaceId,
    workspace_id: business.workspaceId,
    subDomain: business.slug,
    platform: bridge.platform,
    connection_id: bridge.connection_id,
    id: connection.id,
    type: "support",
    conversations: [],
    context: {},
  };
  const requests: OddRequest[] = [];
  for (const route of CONTRACTS.flatMap((contract) => routesOf(contract))) {
    const params = fieldsOf(route.params);
    const query = fieldsOf(route.query);
    const body = fieldsOf(route.body ?? jsonBody(route));
    const base = (fields: Fields) =>
      Object.fromEntries(
        Object.entries(fields).filter(([name, field]) => field.isRequired || name in known)
          .map(([name, field]) => [name, known[name] ?? field.sample]),
      );
    const of = { params: base(params), query: base(query), body: base(body) };
    const hasBody = route.body !== undefined || jsonBody(route) !== undefined;
    const add = (name: string, changed: Partial<typeof of>) => {
      const parts = { ...of, ...changed };
      const path = route.path.replaceAll(/\{(\w+)\}/g, (_, param) =>
        // A segment of a path that is empty, or dots alone, is another path.
        encodeURIComponent(String(parts.params[param])).replace(/^\.+$/, "x"));
      const search = new URLSearchParams(parts.query as Record<string, string>).toString();
      for (const scheme of route.security.length > 0 ? route.security : [""]) {
        if (scheme !== "" && headersOf[scheme] === undefined) continue;
        requests.push({
          name: `${route.operationId} as ${scheme}, ${name}`,
          path: search === "" ? path : `${path}?${search}`,
          method: route.method.toUpperCase(),
          headers: headersOf[scheme] ?? {},
          ...(hasBody ? { body: parts.body } : {}),
        });
      }
    };
    for (const value of TEXTS) {
      const shown = JSON.stringify(value).slice(0, 60);
      for (const name of Object.keys(params)) {
        add(`${name} in the path ${shown}`, { params: { ...of.params, [name]: value } });
      }
      for (const name of Object.keys(query)) {
        add(`${name} in the query ${shown}`, { query: { ...of.query, [name]: value } });
      }
    }
    for (const value of [...TEXTS, ...VALUES]) {
      const shown = JSON.stringify(value).slice(0, 60);
      for (const name of Object.keys(body)) {
        add(`${name} in the body ${shown}`, { body: { ...of.body, [name]: value } });
      }
    }
  }
  return requests;
}

type Fields = Record<string, { isRequired: boolean; sample: unknown }>;

/** What of JSON Schema the fields of a request are read from. */
interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  required?: string[];
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  enum?: unknown[];
  const?: unknown;
  type?: string;
  format?: string;
  minimum?: number;
}

/** The body of a route that reads it itself, where it is JSON. */
function jsonBody(route: RouteDefinition): z.ZodType | undefined {
  return route.rawBody?.mediaType === "application/json" ? route.rawBody.schema : undefined;
}

/** The fields of an object, in every alternative of it. */
function fieldsOf(schema: z.ZodType | undefined): Fields {
  const fields: Fields = {};
  if (schema === undefined) return fields;
  const collect = (part: JsonSchema): void => {
    for (const [name, field] of Object.entries(part.properties ?? {})) {
      fields[name] ??= {
        isRequired: part.required?.includes(name) ?? false,
        sample: sampleOf(field),
      };
    }
    for (const each of [...part.anyOf ?? [], ...part.oneOf ?? [], ...part.allOf ?? []]) {
      collect(each);
    }
  };
  collect(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema);
  return fields;
}

function sampleOf(field: JsonSchema): unknown {
  const { type, format, minimum = 1 } = field.anyOf?.[0] ?? field.oneOf?.[0] ?? field;
  if (field.const !== undefined) return field.const;
  if (field.enum) return field.enum[0];
  if (format === "uuid") return NOBODYS_ID;
  if (format === "date") return new Date().toISOString().slice(0, 10);
  if (format === "date-time") return new Date().toISOString();
  if (type === "integer" || type === "number") return minimum;
  if (type === "boolean") return true;
  if (type === "array") return [];
  if (type === "object") return {};
  return "a";
}
