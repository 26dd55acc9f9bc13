/**
 * Talks to the function kapso-sync: posts, and reads the events it streams.
 *
 * @module
 */

import { z } from "zod";

import type { SyncEvent } from "../../../supabase/functions/kapso-sync/schema.ts";
import { CommandError } from "../../command_error.ts";
import type { Project } from "./project.ts";
import { safeText } from "./text.ts";

/** What a run is to do, as the function takes it. */
export interface SyncBody {
  connection_id: string;
  messages_per_conversation: number | "all";
  delay_ms: number;
  since?: string;
  dry_run: boolean;
  /** The run that is gone on with: where somebody stopped it meanwhile, it stays so. */
  run_id?: string;
}

/** An event, and the line it came in. */
export interface Line {
  event: SyncEvent;
  text: string;
}

/** Talks to kapso-sync. */
export interface SyncClient {
  /**
   * Works on a run.
   *
   * @throws {CommandError} Where the function refuses.
   * @throws {SyncUnavailable} Where it does not answer, or the connection breaks.
   */
  post(body: SyncBody): AsyncGenerator<Line>;
  /** Asks a run to stop. Throws as `post`; a run that is over is no error. */
  stop(runId: string): Promise<void>;
}

/** The function could not be asked, or did not finish its answer. Asking again does nothing twice. */
export class SyncUnavailable extends Error {
  override readonly name = "SyncUnavailable";
  /** Milliseconds to wait first; 0 where the server did not say. */
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs = 0) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** Options of {@linkcode createSyncClient}. */
export interface SyncClientOptions extends Project {
  /** For this request alone, instead of the key that the project has for the number. */
  kapsoApiKey?: string;
  /** Milliseconds without any event after which the connection counts as broken. */
  idleMs?: number;
}

/** Longer than the function may wait for Kapso before it ends its answer. */
const IDLE_MS = 180_000;

const errorSchema = z.object({ code: z.string().nullish(), message: z.string().nullish() });
const eventSchema = z.looseObject({ type: z.string(), run_id: z.string() });

/** Makes a client. */
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
        // A redirect would carry the keys to wherever it points.
        redirect: "manual",
        signal,
      });
      if (response.ok) return response;
      throw refusal(response, await response.text());
    } catch (error) {
      if (error instanceof CommandError || error instanceof SyncUnavailable) throw error;
      throw new SyncUnavailable(`${endpoint} cannot be reached`);
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
        // Whoever stops listening breaks the connection off, and the function puts the run down.
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
  throw new CommandError(`${endpoint} answers, but not as kapso-sync does. Check SUPABASE_URL.`);
}

/** What an answer other than 200 means for whoever typed the command. */
function refusal(response: Response, text: string): Error {
  const { status } = response;
  const { code, message } = errorSchema.safeParse(parseJson(text)).data ?? {};
  if (status === 404 && code === "run_not_found") return new NoSuchRun("There is no such run.");
  if (status === 404 && code !== "connection_not_found") {
    return new CommandError(
      "The function kapso-sync is not there. Check SUPABASE_URL, and deploy it: " +
        "supabase functions deploy kapso-sync.",
    );
  }
  if (status >= 300 && status < 400) {
    return new CommandError("SUPABASE_URL points to another address, which is not followed.");
  }
  if (status === 408 || status === 429 || status >= 500) {
    const seconds = Number(response.headers.get("retry-after") ?? NaN);
    return new SyncUnavailable(
      `kapso-sync answered ${status}${code ? ` (${safeText(code)})` : ""}`,
      seconds > 0 ? seconds * 1000 : 0,
    );
  }
  switch (code) {
    case "missing_authorization":
    case "invalid_token":
    case "service_key_required":
      return new CommandError(
        "kapso-sync refuses SUPABASE_SERVICE_ROLE_KEY. It must be the key that the functions have " +
          "under this name.",
      );
    case "kapso_api_key_missing":
      return new CommandError(
        "There is no Kapso API key for this number. Set KAPSO_API_KEY, or keep it for the number with " +
          "deno task kapso:webhook register <connection>.",
      );
    case "connection_inactive":
      return new CommandError("The connection is inactive. Switch it on, then run this again.");
    default:
      return new CommandError(
        `kapso-sync answered ${status}${code ? ` (${safeText(code)})` : ""}${
          message ? `: ${safeText(message)}` : ""
        }`,
      );
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
