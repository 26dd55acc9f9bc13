/**
 * A client of the function kapso-sync: posts requests, and reads the events it streams.
 *
 * @module
 */

import * as z from "zod";

import type {
  SyncEvent,
  SyncRequestBody,
} from "../../../supabase/functions/_shared/contracts/kapso_sync.ts";
import { parseJson } from "../../../supabase/functions/_shared/http/json.ts";
import { readRetryAfter } from "../../../supabase/functions/_shared/http/retry.ts";
import { CommandError } from "../../command_error.ts";
import type { Project } from "../../project.ts";
import { safeText } from "./text.ts";

/** An event, and the line of text it came in. */
export interface Line {
  event: SyncEvent;
  text: string;
}

/** A client of kapso-sync. */
export interface SyncClient {
  /**
   * Works on a run.
   *
   * @throws {CommandError} If the function refuses.
   * @throws {SyncUnavailable} If it does not answer, or the connection breaks.
   */
  post(body: SyncRequestBody): AsyncGenerator<Line>;
  /** Asks a run to stop. Throws as `post`; a run that is over is no error. */
  stop(runId: string): Promise<void>;
}

/** The function did not answer, or did not finish its answer. A retry stores nothing twice. */
export class SyncUnavailable extends Error {
  override readonly name = "SyncUnavailable";
  /** Milliseconds to wait before a retry; 0 if the server did not say. */
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs = 0) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** Options of {@linkcode createSyncClient}. */
export interface SyncClientOptions extends Project {
  /** Replaces the key that the project has for the number, for this request alone. */
  kapsoApiKey?: string;
  /** Milliseconds without any event after which the connection counts as broken. */
  idleMs?: number;
}

/** Longer than the function waits for Kapso before it ends its answer. */
const IDLE_MS = 180_000;

const errorSchema = z.object({ code: z.string().nullish(), message: z.string().nullish() });
const eventSchema = z.looseObject({ type: z.string(), run_id: z.string() });

/** Creates a client. */
export function createSyncClient(options: SyncClientOptions): SyncClient {
  const { url, serviceKey, kapsoApiKey, idleMs = IDLE_MS } = options;
  const endpoint = `${url}/functions/v1/kapso-sync`;

  const send = async (path: string, body: unknown, signal: AbortSignal): Promise<Response> => {
    let response: Response;
    try {
      response = await fetch(endpoint + path, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          apikey: serviceKey,
          ...(kapsoApiKey === undefined ? {} : { "x-kapso-api-key": kapsoApiKey }),
        },
        body: JSON.stringify(body),
        // A redirect would carry the keys to another address.
        redirect: "manual",
        signal,
      });
      if (response.ok) return response;
      throw refusal(response, await response.text());
    } catch (error) {
      if (error instanceof CommandError || error instanceof SyncUnavailable) throw error;
      throw new SyncUnavailable(`Cannot reach ${endpoint}`);
    }
  };

  return {
    async *post(body) {
      const idle = new AbortController();
      let timer = setTimeout(() => idle.abort(), idleMs);
      try {
        const response = await send("", body, idle.signal);
        let rest = "";
        const lines = response.body!.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
        while (true) {
          let chunk: IteratorResult<string>;
          try {
            chunk = await lines.next();
          } catch {
            throw new SyncUnavailable("The connection to kapso-sync broke");
          }
          if (chunk.done) return;
          clearTimeout(timer);
          timer = setTimeout(() => idle.abort(), idleMs);
          const texts = (rest + chunk.value).split("\n");
          rest = texts.pop()!;
          for (const text of texts) yield { event: readEvent(text, endpoint), text };
        }
      } finally {
        clearTimeout(timer);
        // A caller that stops listening closes the connection, and the function releases the run.
        idle.abort();
      }
    },
    async stop(runId) {
      try {
        const response = await send(`/runs/${runId}/stop`, {}, AbortSignal.timeout(20_000));
        await response.body?.cancel();
      } catch (error) {
        if (error instanceof NoSuchRun) return;
        throw error;
      }
    },
  };
}

class NoSuchRun extends CommandError {}

function readEvent(text: string, endpoint: string): SyncEvent {
  const event = eventSchema.safeParse(parseJson(text));
  if (event.success) return event.data as unknown as SyncEvent;
  throw new CommandError(
    `The answer of ${endpoint} is not that of kapso-sync. Check SUPABASE_URL.`,
  );
}

/** Says what an answer other than 200 means, and what to do. */
function refusal(response: Response, text: string): Error {
  const { status } = response;
  const { code, message } = errorSchema.safeParse(parseJson(text)).data ?? {};
  if (status === 404 && code === "run_not_found") return new NoSuchRun("Run not found.");
  if (status === 404 && code !== "connection_not_found") {
    return new CommandError(
      "The function kapso-sync was not found. Check SUPABASE_URL, and deploy it: " +
        "supabase functions deploy kapso-sync.",
    );
  }
  if (status >= 300 && status < 400) {
    return new CommandError("SUPABASE_URL points to another address, which is not followed.");
  }
  if (status === 408 || status === 429 || status >= 500) {
    return new SyncUnavailable(
      `kapso-sync answered ${status}${code ? ` (${safeText(code)})` : ""}`,
      readRetryAfter(response.headers.get("retry-after")) ?? 0,
    );
  }
  switch (code) {
    case "missing_authorization":
    case "invalid_token":
    case "service_key_required":
      return new CommandError(
        "kapso-sync refuses SUPABASE_SECRET_KEY. Give a secret key of the project that SUPABASE_URL " +
          "names.",
      );
    case "kapso_api_key_missing":
      return new CommandError(
        "There is no Kapso API key for this number. Set KAPSO_API_KEY, or store it for the number with " +
          "deno task kapso:webhook register <connection>.",
      );
    case "connection_inactive":
      return new CommandError("The connection is inactive. Activate it, then run this again.");
    default:
      return new CommandError(
        `kapso-sync answered ${status}${code ? ` (${safeText(code)})` : ""}${
          message ? `: ${safeText(message)}` : ""
        }`,
      );
  }
}
