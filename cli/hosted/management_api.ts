/**
 * The Management API of Supabase: projects, their keys and their settings.
 *
 * Paths and fields are those of its OpenAPI document, as the pinned Supabase CLI carries them.
 *
 * @module
 */

import * as z from "zod";
import { readRetryAfter, retry } from "../../supabase/functions/_shared/http/retry.ts";
import { CommandError, usageError } from "../command_error.ts";
import { isHeaderSafe } from "../options.ts";

const DEFAULT_URL = "https://api.supabase.com";
const ATTEMPTS = 6;
const BACKOFF_MS = 1_000;
const MAX_RETRY_AFTER_MS = 90_000;
const TIMEOUT_MS = 60_000;

/** A project ref, as the Management API defines it. */
export const PROJECT_REF = /^[a-z]{20}$/u;

/** An answer that may be better a moment later. */
class Unavailable extends Error {
  constructor(readonly reason: string, readonly retryAfterMs: number) {
    super(reason);
  }
}

/** How to call the Management API for one project. */
export class ManagementApi {
  readonly ref: string;
  /** Address of the API, without a slash at its end. */
  readonly url: string;
  readonly token: string;
  readonly #backoffMs: number;

  constructor(options: { ref: string; url: string; token: string; backoffMs?: number }) {
    this.ref = options.ref;
    this.url = options.url;
    this.token = options.token;
    this.#backoffMs = options.backoffMs ?? BACKOFF_MS;
  }

  /**
   * Reads something of the project.
   *
   * @param path Below `/v1/projects/<ref>`, for example `/secrets`.
   * @throws {CommandError} that says what to do when it is refused, missing, or does not answer after several attempts.
   */
  async get<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    return await this.#request("GET", path, undefined, schema);
  }

  /** Changes something of the project. May be sent twice, when the first answer was lost. */
  async send(method: "POST" | "PATCH" | "PUT", path: string, body: unknown): Promise<void> {
    await this.#request(method, path, body, z.unknown());
  }

  /**
   * Runs SQL as the owner of the database. May run twice, when the first answer was lost.
   *
   * @param parameters Of `$1`, `$2` …; they appear in no log.
   * @returns The rows of the last statement.
   */
  async query<T>(query: string, parameters: readonly string[], row: z.ZodType<T>): Promise<T[]> {
    const body = { query, parameters };
    return await this.#request("POST", "/database/query", body, z.array(row));
  }

  /** Creates a login for the database that the API ends by itself after some minutes. */
  async createLoginRole(): Promise<{ role: string; password: string }> {
    return await this.#request(
      "POST",
      "/cli/login-role",
      { read_only: false },
      z.object({ role: z.string(), password: z.string() }),
    );
  }

  async #request<T>(
    method: string,
    path: string,
    body: unknown,
    schema: z.ZodType<T>,
  ): Promise<T> {
    const what = nameRequest(method, path);
    let text: string;
    try {
      text = await retry(() => this.#attempt(method, path, body), {
        attempts: ATTEMPTS,
        backoffMs: this.#backoffMs,
        maxRetryAfterMs: MAX_RETRY_AFTER_MS,
        retryAfterOf: (error) => error instanceof Unavailable ? error.retryAfterMs : undefined,
      });
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      throw new CommandError(
        `${what} failed ${ATTEMPTS} times: the Management API ${error.reason}. Try again later.`,
      );
    }
    const parsed = schema.safeParse(readJson(text));
    if (parsed.success) return parsed.data;
    throw new CommandError(
      `The Management API answers ${what} in a form this version does not know: ` +
        z.prettifyError(parsed.error).split("\n")[0]!,
    );
  }

  async #attempt(method: string, path: string, body: unknown): Promise<string> {
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${this.url}/v1/projects/${this.ref}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${this.token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      text = await response.text();
    } catch {
      throw new Unavailable("does not answer", 0);
    }
    if (response.ok) return text;
    const { status } = response;
    if (status === 408 || status === 429 || status >= 500) {
      const retryAfterMs = readRetryAfter(response.headers.get("retry-after")) ?? 0;
      throw new Unavailable(`answers ${status}${readMessage(text)}`, retryAfterMs);
    }
    throw refusal(status, nameRequest(method, path), readMessage(text), this.ref);
  }
}

/**
 * Reads the access token and the address of the API from the environment.
 *
 * @param env `SUPABASE_ACCESS_TOKEN`, and `SUPABASE_API_URL` where the API is not that of supabase.com.
 * @throws {CommandError} with exit code 2 when one of them or the ref is missing or wrong.
 */
export function connectManagementApi(
  env: Record<string, string | undefined>,
  ref: string,
): ManagementApi {
  if (!PROJECT_REF.test(ref)) {
    throw usageError(
      "--project-ref must be the reference of a project: the 20 letters in its address, <ref>.supabase.co.",
    );
  }
  const token = env.SUPABASE_ACCESS_TOKEN?.trim();
  if (!token) {
    throw usageError(
      "SUPABASE_ACCESS_TOKEN is not set. Create one at https://supabase.com/dashboard/account/tokens.",
    );
  }
  if (!isHeaderSafe(token)) {
    throw usageError("SUPABASE_ACCESS_TOKEN has characters that no token has.");
  }
  const url = URL.parse(env.SUPABASE_API_URL?.trim() || DEFAULT_URL);
  if (url === null || !/^https?:$/u.test(url.protocol)) {
    throw usageError("SUPABASE_API_URL is not an address like https://api.supabase.com.");
  }
  return new ManagementApi({ ref, token, url: url.href.replace(/\/+$/u, "") });
}

/** A request, as errors name it. */
function nameRequest(method: string, path: string): string {
  return `${method} ${path === "" ? "of the project" : path}`;
}

function refusal(status: number, what: string, message: string, ref: string): CommandError {
  if (status === 401) {
    return new CommandError(
      "The Management API refuses SUPABASE_ACCESS_TOKEN (401). Create a new one at " +
        "https://supabase.com/dashboard/account/tokens.",
    );
  }
  if (status === 403) {
    return new CommandError(
      `The Management API forbids ${what} (403)${message}. The token must belong to an owner or ` +
        "administrator of the organization.",
    );
  }
  if (status === 404) {
    return new CommandError(
      `The Management API finds nothing at ${what} (404)${message}. Check the project ref ${ref}, and that the ` +
        "token belongs to a member of its organization.",
    );
  }
  return new CommandError(`The Management API refuses ${what} (${status})${message}.`);
}

/** What the API says about an error, for the end of a sentence. */
function readMessage(text: string): string {
  const parsed = z.object({ message: z.string() }).safeParse(readJson(text));
  return parsed.success ? `: ${parsed.data.message.trim().replace(/\.$/u, "").slice(0, 500)}` : "";
}

function readJson(text: string): unknown {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
