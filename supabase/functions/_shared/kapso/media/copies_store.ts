/**
 * The list of files to copy, in this project's database.
 *
 * @module
 */
import type { DatabaseClient } from "../../database/clients.ts";
import type { Json } from "../../database/database.types.ts";
import { rpc } from "../../database/rpc.ts";
import type { MediaReason } from "./download.ts";

/** A file that is to be copied. */
export interface MediaCopy {
  conversationId: string;
  messageId: string;
  workspaceId: string;
  phoneNumberId: string | undefined;
  /** Kapso's copy. */
  link: string | undefined;
  /** Meta's id. */
  mediaId: string | undefined;
  mimeType: string | undefined;
  filename: string | undefined;
  /** ISO 8601. */
  sentAt: string;
  /** This one's number, from 1. */
  attempt: number;
}

/** What became of a file: `metadata.media` of its message. */
export interface MessageMedia {
  /** `stored`: in Storage. `linked`: there is no Storage; `media_url` or Meta's id is all there is. */
  state: "stored" | "linked" | "failed";
  /** In the bucket `media`. */
  path?: string;
  /** As it was found, not as it was declared. */
  mime_type?: string;
  /** In bytes. */
  size?: number;
  /** Of the content, hexadecimal. */
  sha256?: string;
  filename?: string;
  /** ISO 8601: when Meta forgets it, where that is known. */
  expires_at?: string;
  /** Why it failed. */
  reason?: MediaReason;
  /** When that was found, ISO 8601. */
  at: string;
}

/** How an attempt ended. */
export interface MediaResult {
  copy: MediaCopy;
  /** `waiting`: to be attempted again. */
  state: MessageMedia["state"] | "waiting";
  reason?: MediaReason;
  retrySeconds?: number;
  /** What the message is told; not while it waits. */
  media?: MessageMedia;
}

/** Where files to copy are listed. All methods throw as `databaseError`. */
export interface MediaStore {
  /** Take some for this caller alone, for three minutes. */
  claim(connectionId: string, maxCopies: number): Promise<MediaCopy[]>;
  finish(connectionId: string, results: readonly MediaResult[]): Promise<void>;
  /** Connections that have files to copy now. */
  dueConnections(maxConnections: number): Promise<string[]>;
  /** Take files to delete, for this caller alone, for three minutes. */
  claimOrphans(maxFiles: number): Promise<string[]>;
  /** Note that they are deleted. */
  forgetOrphans(paths: readonly string[]): Promise<void>;
}

/** How long a caller has for what it took, in seconds. */
const LEASE_SECONDS = 180;

/** {@linkcode MediaStore} on a service client. */
export function supabaseMediaStore(client: DatabaseClient): MediaStore {
  return {
    async claim(connectionId, maxCopies) {
      const data = await rpc(client, "claim_media_copies", {
        connection_id: connectionId,
        max_copies: maxCopies,
        lease_seconds: LEASE_SECONDS,
      });
      return data.map((row) => ({
        conversationId: row.conversation_id,
        messageId: row.message_id,
        workspaceId: row.workspace_id,
        phoneNumberId: row.phone_number_id ?? undefined,
        link: row.link ?? undefined,
        mediaId: row.media_id ?? undefined,
        mimeType: row.mime_type ?? undefined,
        filename: row.filename ?? undefined,
        sentAt: row.sent_at,
        attempt: row.attempts,
      }));
    },
    async finish(connectionId, results) {
      await rpc(client, "finish_media_copies", {
        connection_id: connectionId,
        results: results.map(({ copy, state, reason, retrySeconds, media }) => ({
          conversation_id: copy.conversationId,
          message_id: copy.messageId,
          attempts: copy.attempt,
          state,
          error: reason ?? null,
          retry_seconds: retrySeconds ?? null,
          media: media ?? null,
        })) as unknown as Json,
      });
    },
    async dueConnections(maxConnections) {
      const data = await rpc(client, "connections_with_due_media", {
        max_connections: maxConnections,
      });
      return data.map(({ connection_id }) => connection_id);
    },
    async claimOrphans(maxFiles) {
      const data = await rpc(client, "claim_media_orphans", {
        max_files: maxFiles,
        lease_seconds: LEASE_SECONDS,
      });
      return data.map(({ path }) => path);
    },
    async forgetOrphans(paths) {
      await rpc(client, "forget_media_orphans", { paths: [...paths] });
    },
  };
}
