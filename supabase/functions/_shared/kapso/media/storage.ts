/**
 * Files in this project's Storage: one private bucket, which only signed links open.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { createClient } from "@supabase/supabase-js";
import type { SupabaseEnv } from "../../database/env.ts";
import { MediaError } from "./download.ts";
import { extensionOf } from "./file_types.ts";

/** The Storage of this project. */
export interface MediaStorage {
  /**
   * Whether this project has a Storage. Creates the bucket where it is missing. Checked once.
   *
   * @throws {MediaError} `unavailable` where Storage fails.
   */
  isThere(): Promise<boolean>;
  /** @throws {MediaError} `too_large`, `type_not_allowed` or `unavailable`. */
  upload(path: string, body: ReadableStream<Uint8Array>, mimeType: string): Promise<void>;
  /**
   * Creates a link that opens the file for some seconds.
   *
   * @param filename Makes browsers download the file under this name.
   * @throws {MediaError} `gone` or `unavailable`.
   */
  sign(path: string, seconds: number, filename?: string): Promise<string>;
  /** Deletes files, and ignores those that do not exist. @throws {MediaError} `unavailable`. */
  remove(paths: readonly string[]): Promise<void>;
}

/** Name of the bucket. */
export const MEDIA_BUCKET = "media";
const TIMEOUT_MS = 120_000;

/** {@linkcode MediaStorage} on Supabase Storage. */
export function createMediaStorage(
  env: Pick<SupabaseEnv, "supabaseUrl" | "secretKey">,
  send: typeof fetch = fetch,
): MediaStorage {
  const { storage } = createClient(env.supabaseUrl, env.secretKey, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    global: {
      fetch: (input, init?: RequestInit) =>
        send(input, {
          ...init,
          signal: AbortSignal.any([
            AbortSignal.timeout(TIMEOUT_MS),
            ...(init?.signal ? [init.signal] : []),
          ]),
        }),
    },
  });
  const bucket = storage.from(MEDIA_BUCKET);
  let asked: Promise<boolean> | undefined;

  const prepare = async (): Promise<boolean> => {
    const found = await storage.getBucket(MEDIA_BUCKET);
    // Rather no files of customers than files in a bucket that is open to all.
    if (found.data?.public) throw new MediaError("unavailable", new Error("the bucket is public"));
    if (found.data !== null) return true;
    const made = await storage.createBucket(MEDIA_BUCKET, { public: false });
    if (made.error === null) return true;
    const { status, code } = statusOf(made.error);
    // Another caller has created it at this moment.
    if (status === 409 || code === "409") return true;
    // The project has no Storage at this path.
    if (status === 404) return false;
    throw new MediaError("unavailable", made.error);
  };

  return {
    isThere() {
      asked ??= prepare().catch((error) => {
        asked = undefined;
        throw error;
      });
      return asked;
    },
    async upload(path, body, mimeType) {
      const { error } = await bucket.upload(path, body, {
        contentType: mimeType,
        cacheControl: "3600",
        // An interrupted attempt may have left a part of the file.
        upsert: true,
        duplex: "half",
      });
      if (error === null) return;
      const { status, code } = statusOf(error);
      if (status === 413 || code === "413") throw new MediaError("too_large", error);
      if (status === 415 || code === "415") throw new MediaError("type_not_allowed", error);
      throw new MediaError("unavailable", error);
    },
    async sign(path, seconds, filename) {
      const { data, error } = await bucket.createSignedUrl(
        path,
        seconds,
        filename === undefined ? {} : { download: filename },
      );
      if (data !== null) return data.signedUrl;
      const { status, code } = statusOf(error);
      throw new MediaError(status === 404 || code === "404" ? "gone" : "unavailable", error);
    },
    async remove(paths) {
      const { error } = await bucket.remove([...paths]);
      if (error !== null) throw new MediaError("unavailable", error);
    },
  };
}

/** Storage answers with one status, and often names another in the body. */
function statusOf(error: unknown): { status: number | undefined; code: string | undefined } {
  const { status, statusCode } = error as { status?: number; statusCode?: string };
  return { status, code: statusCode };
}

/**
 * The path of a file in Storage. The message alone determines it, so that a second copy replaces the first.
 *
 * @param mimeType An allowed type.
 */
export function pathOf(
  of: { workspaceId: string; conversationId: string; messageId: string },
  mimeType: string,
): string {
  const name = createHash("sha256").update(of.messageId).digest("hex");
  return `${of.workspaceId}/${of.conversationId}/${name}.${extensionOf(mimeType)}`;
}
