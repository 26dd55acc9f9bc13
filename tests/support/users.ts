/**
 * Users who sign up, the connections they create, and requests as bridges send them: all through the same APIs as
 * in production.
 *
 * @module
 */

import type { IngestResult } from "../../supabase/functions/_shared/contracts/messaging_ingest.ts";
import { assertEquals } from "@std/assert";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import type { StackInfo } from "../../local/stack.ts";
import type { Database } from "../../supabase/functions/_shared/database/database.types.ts";
import { unique } from "./people.ts";

/** A user who is signed in, with the workspace that signing up made. */
export interface User {
  readonly client: SupabaseClient<Database>;
  readonly workspaceId: string;
  /** The stack that the user signed up to. */
  readonly info: StackInfo;
}

/** A connection, as its bridge knows it. */
export interface Bridge {
  readonly platform: string;
  readonly connection_id: string;
  readonly api_key: string;
}

/** A connection and its primary key. */
export interface OwnBridge extends Bridge {
  readonly id: string;
}

/** An element of `results`. */
export type Result = IngestResult;

/** An answer whose body was read. */
export interface Answer {
  status: number;
  headers: Headers;
  // deno-lint-ignore no-explicit-any -- JSON of many shapes, each checked by the test that gets it.
  body: any;
}

/** Creates a client for a user of the stack, without a stored session and timers. */
export function userClient(info: StackInfo): SupabaseClient<Database> {
  return createClient<Database>(info.api_url, info.publishable_key, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
  });
}

/** Creates a client with the secret key of the stack, as the functions have. */
export function serviceClient(info: StackInfo): SupabaseClient<Database> {
  return createClient<Database>(info.api_url, info.secret_key, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
  });
}

/** Signs a new user up. */
export async function signUp(info: StackInfo): Promise<User> {
  const client = userClient(info);
  const name = unique("user_");
  const { error } = await client.auth.signUp({
    email: `${name}@example.com`,
    password: unique("password_"),
    options: { data: { workspace_name: name } },
  });
  if (error) throw error;
  const [workspace] = await rows(client.from("workspaces").select("id"));
  return { client, workspaceId: workspace!.id, info };
}

/** Creates a connection as its owner does. */
export async function createBridge(user: User, platform = "whatsapp"): Promise<OwnBridge> {
  const connection_id = unique(`${platform}_`);
  const [created] = await rows(user.client.rpc("create_connection", {
    workspace_id: user.workspaceId,
    platform,
    connection_id,
  }));
  return { platform, connection_id, api_key: created!.api_secret, id: created!.id };
}

/** Returns the rows of a query, or throws its error. */
export async function rows<T>(
  query: PromiseLike<{ data: T[] | null; error: unknown }>,
): Promise<T[]> {
  const { data, error } = await query;
  if (error) throw error;
  return data!;
}

/** Sends a request to a function and reads the answer. */
export async function call(
  info: StackInfo,
  path: string,
  init: RequestInit = {},
): Promise<Answer> {
  const response = await fetch(`${info.api_url}/functions/v1/${path}`, init);
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === "" ? undefined : JSON.parse(text),
  };
}

/** Sends a body to messaging-ingest, as it is. */
export function postBody(
  info: StackInfo,
  bridge: Pick<Bridge, "api_key">,
  body: BodyInit,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return call(info, "messaging-ingest", {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": bridge.api_key, ...headers },
    body,
  });
}

/** Sends conversations as a bridge does. */
export function post(
  info: StackInfo,
  { platform, connection_id, api_key }: Bridge,
  conversations: readonly unknown[],
): Promise<Answer> {
  return postBody(
    info,
    { api_key },
    JSON.stringify({ platform, connection_id, conversations }),
  );
}

/** Sends conversations that must be stored, and returns their results. */
export async function postAll(
  info: StackInfo,
  bridge: Bridge,
  conversations: readonly unknown[],
): Promise<Result[]> {
  const { status, body } = await post(info, bridge, conversations);
  assertEquals(status, 200, JSON.stringify(body));
  return body.results;
}

/** Sends a request to messaging-people. */
export function getPeople(info: StackInfo, bridge: Bridge, query = ""): Promise<Answer> {
  return call(info, `messaging-people${query}`, {
    headers: { "x-api-key": bridge.api_key, "x-connection-id": bridge.connection_id },
  });
}
