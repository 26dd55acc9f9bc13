/**
 * The one connection to Supabase: supabase-js for Auth, reading and Realtime, and the function `inbox`
 * for what writes.
 *
 * @module
 */

import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import type { AppConfig } from "../config.ts";
import { ApiError } from "./api_error.ts";

/** A request to the function `inbox`. */
export interface InboxRequest {
  method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** Path below `/functions/v1/inbox/`. */
  path: string;
  /** A JSON body, or a form for uploads. */
  body?: object | FormData | undefined;
  signal?: AbortSignal | undefined;
}

/** What the app talks to. */
export interface ApiClient {
  /** Address of the project, without a slash at its end. */
  url: string;
  supabase: SupabaseClient;
  hasRealtime: boolean;
  /**
   * Calls the function `inbox`.
   *
   * @throws {ApiError}
   */
  inbox<Result>(request: InboxRequest): Promise<Result>;
  /**
   * Calls any function and returns its answer, whatever its status.
   *
   * @throws {ApiError} when there is no answer.
   */
  callFunction(
    name: string,
    init: RequestInit & { path?: string },
  ): Promise<Response>;
}

/** Connects. */
export function createApiClient(config: AppConfig): ApiClient {
  const url = config.api_url.replace(/\/$/, "");
  const supabase = createClient(url, config.publishable_key, {
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
    const { data } = await supabase.auth.getSession();
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
    }
  }

  return {
    url,
    supabase,
    hasRealtime: config.has_realtime !== false,
    callFunction,
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
 * @throws {ApiError} for every status but those of success.
 */
export async function readAnswer<Result>(response: Response): Promise<Result> {
  const answer = await response.json().catch(() => undefined);
  if (response.ok && answer !== undefined) return answer;
  throw new ApiError(
    response.ok ? 502 : response.status,
    String(answer?.code ?? "unknown"),
    String(answer?.message ?? response.statusText),
  );
}

/**
 * Unwraps an answer of supabase-js.
 *
 * @throws {ApiError}
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
