/**
 * The client of Supabase: supabase-js for Auth, reads and Realtime, and the Edge Functions for writes.
 *
 * @module
 */

import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import type { AppConfig } from "../config.ts";
import { ApiError } from "./api_error.ts";
import { createReplicaFetch } from "./replica_fetch.ts";
import type { Database } from "./rows.ts";

/** A request to the function `inbox`. */
export interface InboxRequest {
  method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** Path below `/functions/v1/inbox/`. */
  path: string;
  /** A JSON body, or a form for uploads. */
  body?: object | FormData | undefined;
  signal?: AbortSignal | undefined;
}

type Functions = Database["public"]["Functions"];

/** Arguments of an SQL function. One that is undefined keeps its default. */
type RpcArguments<Name extends keyof Functions> = {
  [Argument in keyof Functions[Name]["Args"]]: Functions[Name]["Args"][Argument] | undefined;
};

/** Supabase, as the app uses it. */
export interface ApiClient {
  /** Address of the project, without a slash at its end. */
  url: string;
  /** For Auth, tables, views and Realtime. */
  supabase: Omit<SupabaseClient<Database>, "rpc">;
  hasRealtime: boolean;
  /** Says that something has changed elsewhere: what is read in the next seconds must be up to date. */
  noteChange(): void;
  /**
   * Calls an SQL function by POST, which the primary database answers. Unlike `rpc` of supabase-js it accepts no
   * argument that the function lacks.
   *
   * @throws {ApiError} when the call fails.
   */
  rpc<Name extends keyof Functions>(
    name: Name,
    args: RpcArguments<Name>,
    signal: AbortSignal,
  ): Promise<Functions[Name]["Returns"]>;
  /**
   * Calls an SQL function that only reads by GET, which a read replica may answer. The arguments stand in the URL, and
   * so in logs: ids, numbers, flags, times and words of a fixed list only (docs/adr/0036).
   *
   * @throws {ApiError} when the call fails.
   */
  read<Name extends keyof Functions>(
    name: Name,
    args: RpcArguments<Name>,
    signal: AbortSignal,
  ): Promise<Functions[Name]["Returns"]>;
  /**
   * Calls the function `inbox` and returns its answer.
   *
   * @throws {ApiError} for every status except success.
   */
  inbox<Result>(request: InboxRequest): Promise<Result>;
  /**
   * Calls any function and returns its answer, with any status.
   *
   * @throws {ApiError} when there is no answer.
   */
  callFunction(
    name: string,
    init: RequestInit & { path?: string },
  ): Promise<Response>;
}

/** Creates the client. */
export function createApiClient(config: AppConfig): ApiClient {
  const url = config.api_url.replace(/\/$/, "");
  const replica = createReplicaFetch(url, config.read_url?.replace(/\/$/, ""));
  const supabase = createClient<Database>(url, config.publishable_key, {
    global: { fetch: replica.fetch },
    auth: {
      persistSession: true,
      autoRefreshToken: true,
      detectSessionInUrl: false,
    },
  });

  async function callFunction(
    name: string,
    { path = "", headers, ...init }: RequestInit & { path?: string },
  ): Promise<Response> {
    const isChange = (init.method ?? "GET") !== "GET";
    const { data } = await supabase.auth.getSession();
    if (isChange) replica.noteChange();
    try {
      return await fetch(`${url}/functions/v1/${name}${path}`, {
        ...init,
        headers: {
          ...headers,
          apikey: config.publishable_key,
          authorization: `Bearer ${data.session?.access_token ?? ""}`,
        },
      });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiError(0, "network", "");
    } finally {
      if (isChange) replica.noteChange();
    }
  }

  return {
    url,
    supabase,
    hasRealtime: config.has_realtime !== false,
    noteChange: replica.noteChange,
    callFunction,
    async rpc(name, args, signal) {
      // `undefined` is no JSON, so such an argument is left out of the request.
      return unwrap(await supabase.rpc(name, args as never).abortSignal(signal));
    },
    async read(name, args, signal) {
      return unwrap(await supabase.rpc(name, args as never, { get: true }).abortSignal(signal));
    },
    async inbox<Result>({ method, path, body, signal }: InboxRequest) {
      const isForm = body instanceof FormData;
      const response = await callFunction("inbox", {
        method,
        path: `/${path}`,
        headers: body === undefined || isForm ? {} : { "content-type": "application/json" },
        ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
      return await readAnswer<Result>(response);
    },
  };
}

/**
 * Reads the answer of a function.
 *
 * @throws {ApiError} for every status except success.
 */
export async function readAnswer<Result>(response: Response): Promise<Result> {
  const answer = await response.json().catch(() => undefined);
  if (response.ok && answer !== undefined) return answer;
  const message = String(answer?.message ?? response.statusText);
  throw new ApiError(
    response.ok ? 502 : response.status,
    String(answer?.code ?? "unknown"),
    message,
    // Texts about a field begin with its name.
    answer?.details?.field ?? /^\w+/.exec(message)?.[0],
  );
}

/**
 * Returns the data of a supabase-js answer.
 *
 * @throws {ApiError} when it has an error.
 */
export function unwrap<Data>(
  answer: {
    data: Data;
    error: { code?: string; message: string } | null;
    status: number;
  },
): NonNullable<Data> {
  if (answer.error) {
    throw new ApiError(
      answer.status,
      answer.error.code ?? "unknown",
      answer.error.message,
    );
  }
  return answer.data as NonNullable<Data>;
}
