/**
 * The outbox and the secrets of connections in this project's database, for the function itself. What
 * members do goes through clients with their own token instead.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/database/clients.ts";
import type { Message, MessageChange } from "../_shared/contracts/message.ts";
import type { CredentialBox } from "../_shared/auth/credentials.ts";
import type { Database, Json } from "../_shared/database/database.types.ts";
import { databaseError } from "../_shared/http/errors.ts";

/** A row of `outbox_messages`. */
export type OutboxMessage = Database["public"]["Tables"]["outbox_messages"]["Row"];

/** A message that is this caller's to send. */
export interface Claim {
  message: OutboxMessage;
  /** Null where the number is gone or switched off. */
  phoneNumberId: string | null;
  /** Checked by `outboundRecipient`. */
  recipient: unknown;
  callbackData: string;
}

/** What became of an attempt. */
export interface SendOutcome {
  outcome: "sent" | "failed" | "unconfirmed";
  /** For `sent`: what the one door stores. */
  message?: Message | MessageChange;
  /** For `failed`. */
  errorCode?: string;
}

/** The outbox, as whoever sends sees it. */
export interface Outbox {
  /** The next message of a thread; undefined where none waits or another one is on its way. */
  claim(conversationId: string): Promise<Claim | undefined>;
  /** @returns The row afterwards. */
  record(claim: Claim, outcome: SendOutcome): Promise<OutboxMessage>;
  /** Lists the conversations in which messages wait for a sender, longest waiting first. */
  waiting(): Promise<string[]>;
  noteUpload(upload: Upload): Promise<void>;
}

/** A file that was uploaded for a thread. */
export interface Upload {
  conversationId: string;
  connectionId: string;
  mediaId: string;
  type: string;
  fileName: string;
  mimeType: string;
}

/** {@linkcode Outbox} on a service client. Threads and messages were made by members who may. */
export function supabaseOutbox(client: DatabaseClient): Outbox {
  return {
    async claim(conversationId) {
      const { data, error, status } = await client.rpc("claim_outbox_message", {
        conversation_id: conversationId,
      });
      if (error) throw databaseError(error, status);
      const row = data[0];
      return row && {
        message: row.message as unknown as OutboxMessage,
        phoneNumberId: row.phone_number_id as string | null,
        recipient: row.recipient,
        callbackData: row.callback_data,
      };
    },
    async record({ message }, { outcome, message: stored, errorCode }) {
      const { data, error, status } = await client.rpc("record_outbox_outcome", {
        id: message.id,
        attempt_token: message.attempt_token!,
        outcome,
        ...(stored === undefined ? {} : { message: stored as unknown as Json }),
        ...(errorCode === undefined ? {} : { error_code: errorCode }),
      });
      if (error) throw databaseError(error, status);
      return data[0]!;
    },
    async waiting() {
      const { data, error, status } = await client.rpc("conversations_to_send", {});
      if (error) throw databaseError(error, status);
      return data.map((row) => row.conversation_id);
    },
    async noteUpload(upload) {
      const { error, status } = await client.rpc("record_upload", {
        conversation_id: upload.conversationId,
        connection_id: upload.connectionId,
        media_id: upload.mediaId,
        type: upload.type,
        file_name: upload.fileName,
        mime_type: upload.mimeType,
      });
      if (error) throw databaseError(error, status);
    },
  };
}

/** A message with a file, and where its thread is answered from. */
export interface MediaSource {
  workspaceId: string;
  conversationId: string;
  connectionId: string | undefined;
  phoneNumberId: string | undefined;
  message: {
    id: string;
    media_url: string | null;
    metadata: Record<string, unknown> | undefined;
  };
}

/** Finds messages with files. */
export interface MediaSources {
  /** @returns undefined where the thread has no such message. The caller has made sure who may see it. */
  find(conversationId: string, messageId: string): Promise<MediaSource | undefined>;
}

/** {@linkcode MediaSources} on a service client. */
export function supabaseMediaSources(client: DatabaseClient): MediaSources {
  return {
    async find(conversationId, messageId) {
      const { data, error, status } = await client.rpc("message_source", {
        conversation_id: conversationId,
        message_id: messageId,
      });
      if (error) throw databaseError(error, status);
      const row = data[0];
      return row && {
        workspaceId: row.workspace_id,
        conversationId,
        connectionId: (row.connection_id as string | null) ?? undefined,
        phoneNumberId: (row.phone_number_id as string | null) ?? undefined,
        message: {
          id: messageId,
          media_url: row.media_url as string | null,
          metadata: (row.metadata as Record<string, unknown> | null) ?? undefined,
        },
      };
    },
  };
}

/** The secrets of connections. Whoever asks has made sure that the user may manage the connection. */
export interface ConnectionSecrets {
  /** @param apiKey Null removes it. */
  setKapsoKey(connectionId: string, apiKey: string | null): Promise<void>;
  setWebhookSecret(connectionId: string, secret: string): Promise<void>;
  /** The current webhook secret of a number; undefined where it has none of its own. */
  webhookSecret(phoneNumberId: string): Promise<string | undefined>;
}

/**
 * {@linkcode ConnectionSecrets} on a service client.
 *
 * @param box Seals and opens them; undefined where no CREDENTIALS_KEY is set.
 */
export function supabaseSecrets(
  client: DatabaseClient,
  box: CredentialBox | undefined,
): ConnectionSecrets {
  const requireBox = () => {
    if (!box) throw new Error("CREDENTIALS_KEY is not set, so no credential can be stored");
    return box;
  };
  return {
    async setKapsoKey(connectionId, apiKey) {
      const sealed = apiKey === null ? null : await requireBox().seal(apiKey);
      const { error, status } = await client.rpc("set_kapso_api_key", {
        connection_id: connectionId,
        // The generated type does not know that it may be null.
        api_key: sealed as string,
      });
      if (error) throw databaseError(error, status);
    },
    async setWebhookSecret(connectionId, secret) {
      const { error, status } = await client.rpc("set_webhook_secret", {
        connection_id: connectionId,
        secret: await requireBox().seal(secret),
      });
      if (error) throw databaseError(error, status);
    },
    async webhookSecret(phoneNumberId) {
      const { data, error, status } = await client.rpc("webhook_secrets", {
        phone_number_id: phoneNumberId,
      });
      if (error) throw databaseError(error, status);
      const sealed = data[0]?.secret;
      return sealed ? await requireBox().open(sealed) : undefined;
    },
  };
}
