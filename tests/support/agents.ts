/**
 * Businesses with an agent key for the tests of conversation-sync, and requests as agents send them.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type postgres from "postgres";
import type { StackInfo } from "../../local/stack.ts";
import type { AgentSession } from "../../supabase/functions/_shared/contracts/conversation_sync/answers.ts";
import { uniqueNumber } from "./people.ts";
import { type Answer, call, rows, signUp, type User } from "./users.ts";

/** A business, its `subDomain`, and a key for it. */
export interface Business extends User {
  readonly slug: string;
  readonly key: string;
}

/** What is sent besides method and path. */
export interface AgentRequest {
  key?: string | undefined;
  body?: unknown;
  headers?: Record<string, string>;
}

/** Below the base that agents are configured with. */
export const AGENT = "/api/v1/whatsapp/agent/conversations";
/** The other paths. */
export const CONVERSATIONS = "/api/v1/conversations";

/** Signs a business up and creates a key for it. */
export async function createBusiness(info: StackInfo): Promise<Business> {
  const user = await signUp(info);
  const [workspace] = await rows(user.client.from("workspaces").select("slug"));
  return { ...user, slug: workspace!.slug, key: await createKey(user, [user.workspaceId]) };
}

/** Creates a key as an owner does. */
export async function createKey(user: User, workspaceIds: string[]): Promise<string> {
  const [made] = await rows(user.client.rpc("create_agent_key", { workspace_ids: workspaceIds }));
  return made!.secret;
}

/** Sends a request as an agent does. */
export function ask(
  info: StackInfo,
  method: string,
  path: string,
  { key, body, headers = {} }: AgentRequest = {},
): Promise<Answer> {
  return call(info, `conversation-sync${path}`, {
    method,
    headers: {
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
}

/** Digits of a phone that no other test has. */
export function uniquePhone(): string {
  return uniqueNumber().slice(1);
}

/** Sends a request that must be answered with data, and returns them. */
export async function data<T = AgentSession>(
  info: StackInfo,
  method: string,
  path: string,
  request: AgentRequest,
): Promise<T> {
  const { status, body } = await ask(info, method, path, request);
  assertEquals([Math.floor(status / 100), body.type], [2, "1"], JSON.stringify(body));
  return body.data;
}

/** Creates a session of a customer. */
export function createSession(
  info: StackInfo,
  business: Business,
  body: Record<string, unknown> = {},
): Promise<AgentSession> {
  return data(info, "POST", CONVERSATIONS, {
    key: business.key,
    body: { userId: uniquePhone(), subDomain: business.slug, ...body },
  });
}

/** Ages a session as if it had no messages for some hours. */
export async function letPass(
  sql: postgres.Sql,
  session: Pick<AgentSession, "sessionId">,
  hours: number,
): Promise<void> {
  await sql`
    update public.agent_sessions
    set created_at = created_at - make_interval(secs => ${hours * 3600}),
      last_activity_at = last_activity_at - make_interval(secs => ${hours * 3600}),
      expires_at = expires_at - make_interval(secs => ${hours * 3600})
    where session_id = ${session.sessionId}`;
}

/** What matters of an answer that is an error. */
export function failureOf({ status, body }: Answer): [number, string] {
  assertEquals(
    [body.type, typeof body.message, typeof body.request_id],
    ["3", "string", "string"],
    JSON.stringify(body),
  );
  return [status, body.code];
}
