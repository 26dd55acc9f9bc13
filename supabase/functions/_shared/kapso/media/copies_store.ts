/**
 * The list of files to copy, in this project's database.
 *
 * @module
 */
import type { MediaCopyResult, MediaReason, MessageMedia } from "../../contracts/message_media.ts";
import type { DatabaseClient } from "../../database/clients.ts";
import { rpc } from "../../database/rpc.ts";

/** A file to copy. */
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
  /** Number of this attempt, from 1. */
  attempt: number;
}

/** The outcome of an attempt. */
export interface MediaResult {
  copy: MediaCopy;
  state: MediaCopyResult["state"];
  reason?: MediaReason;
  retrySeconds?: number;
  /** For the message; absent while the copy waits. */
  media?: MessageMedia;
}

/** The list of files to copy. All methods throw as `databaseError`. */
export interface MediaCopyStore {
  /** Claims files for this caller alone, for three minutes. */
  claim(connectionId: string, maxCopies: number): Promise<MediaCopy[]>;
  finish(connectionId: string, results: readonly MediaResult[]): Promise<void>;
  /** Connections that have files to copy now. */
  dueConnections(maxConnections: number): Promise<string[]>;
  /** Claims files to delete, for this caller alone, for three minutes. */
  claimOrphans(maxFiles: number): Promise<string[]>;
  /** Records that files are deleted. */
  forgetOrphans(paths: readonly string[]): Promise<void>;
}

/** How long a claim lasts, in seconds. */
const LEASE_SECONDS = 180;

/** {@linkcode MediaCopyStore} on a service client. */
export function createMediaCopyStore(client: DatabaseClient): MediaCopyStore {
  return {
    async claim(connectionId, maxCopies) {
      const copies = await rpc(client, "claim_media_copies", {
        connection_id: connectionId,
        max_copies: maxCopies,
        lease_seconds: LEASE_SECONDS,
      });
      return copies.map((row) => ({
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
        })),
      });
    },
    async dueConnections(maxConnections) {
      const due = await rpc(client, "connections_with_due_media", {
        max_connections: maxConnections,
      });
      return due.map(({ connection_id }) => connection_id);
    },
    async claimOrphans(maxFiles) {
      const orphans = await rpc(client, "claim_media_orphans", {
        max_files: maxFiles,
        lease_seconds: LEASE_SECONDS,
      });
      return orphans.map(({ path }) => path);
    },
    async forgetOrphans(paths) {
      await rpc(client, "forget_media_orphans", { paths: [...paths] });
    },
  };
}
