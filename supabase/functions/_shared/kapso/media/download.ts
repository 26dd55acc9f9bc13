/**
 * Downloads files by their links: only from known hosts, without any key, within limits of size and time.
 *
 * @module
 */
import type { MediaReason } from "../../contracts/message_media.ts";
import { allowedType, sizeLimit } from "./file_types.ts";

/** A file could not be fetched. */
export class MediaError extends Error {
  override readonly name = "MediaError";
  readonly reason: MediaReason;

  constructor(reason: MediaReason, cause?: unknown) {
    super(`no file: ${reason}`, { cause });
    this.reason = reason;
  }

  /** Whether a retry can help. */
  get isPassing(): boolean {
    return this.reason === "unavailable";
  }
}

/** A file whose body begins to arrive. */
export interface OpenFile {
  /** Ends with a {@linkcode MediaError} when it becomes too large. */
  body: ReadableStream<Uint8Array>;
  /** An allowed type, without parameters. */
  mimeType: string;
  /** In bytes; undefined where the server does not say. */
  size: number | undefined;
}

/** Fetches a file. @throws {MediaError}, or the signal's reason. */
export type Download = (
  url: string,
  options: { declaredType: string | undefined; signal: AbortSignal },
) => Promise<OpenFile>;

/** Hosts of Kapso's and Meta's files. Hosts that Kapso's links redirect to are a setting. */
const HOSTS = ["app.kapso.ai", "api.kapso.ai", "lookaside.fbsbx.com", "graph.facebook.com"];
const MAX_REDIRECTS = 3;

/** Options of {@linkcode createDownload}. */
export interface DownloadOptions {
  /** Base URL of Kapso's API, whose origin is always allowed. */
  baseUrl: string | undefined;
  /** Further hosts, such as the one to which Kapso's links redirect. */
  hosts?: readonly string[];
  fetch?: typeof fetch;
}

/** Creates a {@linkcode Download} that keeps to these rules. */
export function createDownload(options: DownloadOptions): Download {
  const { fetch: send = fetch } = options;
  const hosts = new Set([...HOSTS, ...options.hosts ?? []].map((host) => host.toLowerCase()));
  const ownOrigin = URL.parse(options.baseUrl ?? "")?.origin;
  const isAllowed = (url: URL): boolean =>
    url.origin === ownOrigin ||
    (url.protocol === "https:" && url.port === "" && hosts.has(url.hostname));

  return async (link, { declaredType, signal }) => {
    if (allowedType(declaredType) === undefined) throw new MediaError("type_not_allowed");
    let url = URL.parse(link);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      if (url === null || !isAllowed(url)) throw new MediaError("host_not_allowed");
      const response = await request(send, url, signal);
      const location = response.headers.get("location");
      if (response.status < 300 || response.status >= 400 || location === null) {
        return await read(response, declaredType);
      }
      await response.body?.cancel();
      url = URL.parse(location, url);
    }
    throw new MediaError("unavailable");
  };
}

async function request(send: typeof fetch, url: URL, signal: AbortSignal): Promise<Response> {
  try {
    return await send(url, { redirect: "manual", signal });
  } catch (cause) {
    signal.throwIfAborted();
    throw new MediaError("unavailable", cause);
  }
}

async function read(response: Response, declaredType: string | undefined): Promise<OpenFile> {
  const refusal = refuse(response, declaredType);
  if (refusal !== undefined || response.body === null) {
    await response.body?.cancel();
    throw refusal ?? new MediaError("unavailable");
  }
  const mimeType = allowedType(declaredType, response.headers.get("content-type"))!;
  const limit = sizeLimit(mimeType);
  const size = sizeOf(response);
  let seen = 0;
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      seen += chunk.length;
      if (seen > limit) controller.error(new MediaError("too_large"));
      else controller.enqueue(chunk);
    },
  });
  return { body: response.body.pipeThrough(counter), mimeType, size };
}

function refuse(response: Response, declaredType: string | undefined): MediaError | undefined {
  if (!response.ok) {
    const isPassing = response.status === 429 || response.status === 408 || response.status >= 500;
    return new MediaError(isPassing ? "unavailable" : "gone");
  }
  const type = allowedType(declaredType, response.headers.get("content-type"));
  if (type === undefined) return new MediaError("type_not_allowed");
  if ((sizeOf(response) ?? 0) > sizeLimit(type)) return new MediaError("too_large");
}

function sizeOf(response: Response): number | undefined {
  const size = Number(response.headers.get("content-length") ?? NaN);
  return Number.isSafeInteger(size) ? size : undefined;
}
