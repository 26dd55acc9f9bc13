/**
 * The outbox, the files of messages and the credentials of connections in this project's database, with the
 * function's own rights. What members do goes through `member_store.ts` instead.
 *
 * @module
 */
import type { CredentialCipher } from "../_shared/auth/credentials.ts";
import type { Upload } from "../_shared/contracts/inbox/media.ts";
import type { OutboxMessage } from "../_shared/contracts/inbox/messages.ts";
import type { Message, MessageChange } from "../_shared/contracts/message.ts";
import type { OutboundRecipient } from "../_shared/contracts/outbound_content.ts";
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { rpc } from "../_shared/database/rpc.ts";
import type { SendingNumber } from "./member_store.ts";

/** A message that this caller alone sends. */
export interface Claim {
  message: OutboxMessage;
  /** Null where the phone number was removed or is switched off. */
  phoneNumberId: string | null;
  /** Null where the contact has no address. */
  recipient: OutboundRecipient | null;
  callbackData: string;
}

/** Outcome of an attempt to send. */
export interface SendOutcome {
  outcome: "sent" | "failed" | "unconfirmed";
  /** For `sent`: the message or reaction to store in the conversation. */
  message?: Message | MessageChange;
  /** For `failed`. */
  errorCode?: string;
}

/** A message whose outcome is recorded. */
export interface RecordedMessage {
  message: OutboxMessage;
  /** Whether another message of the conversation waits to be claimed. */
  hasMore: boolean;
}

/** The outbox of all conversations. */
export interface OutboxStore {
  /** The next message of a conversation; undefined where none waits or another is being sent. */
  claim(conversationId: string): Promise<Claim | undefined>;
  record(claim: Claim, outcome: SendOutcome): Promise<RecordedMessage>;
  /** Conversations in which messages wait for a sender, longest waiting first. */
  waiting(): Promise<string[]>;
  /** Remembers a file that was uploaded for a conversation. */
  recordUpload(conversationId: string, number: SendingNumber, upload: Upload): Promise<void>;
}

/** {@linkcode OutboxStore} on a service client. Its callers have made sure that the member may send. */
export function createOutboxStore(client: DatabaseClient): OutboxStore {
  return {
    async claim(conversationId) {
      const [row] = await rpc(client, "claim_outbox_message", { conversation_id: conversationId });
      return row && {
        message: row.message,
        phoneNumberId: row.phone_number_id,
        recipient: row.recipient,
        callbackData: row.callback_data,
      };
    },
    async record({ message }, { outcome, message: stored, errorCode }) {
      const [recorded] = await rpc(client, "record_outbox_outcome", {
        id: message.id,
        attempt_token: message.attempt_token!,
        outcome,
        message: stored,
        error_code: errorCode,
      });
      return { message: recorded!.outbox_message, hasMore: recorded!.has_more };
    },
    async waiting() {
      const waiting = await rpc(client, "conversations_to_send", {});
      return waiting.map((row) => row.conversation_id);
    },
    async recordUpload(conversationId, { connectionId }, upload) {
      await rpc(client, "record_upload", {
        conversation_id: conversationId,
        connection_id: connectionId,
        media_id: upload.media_id,
        type: upload.type,
        file_name: upload.file_name,
        mime_type: upload.mime_type,
      });
    },
  };
}

/** A message with a file, and the phone number of its conversation. */
export interface MediaSource {
  workspaceId: string;
  conversationId: string;
  connectionId: string | undefined;
  phoneNumberId: string | undefined;
  /** Where this project has put its copy. */
  copyPath: string | undefined;
  message: {
    id: string;
    media_url: string | null;
    metadata: Record<string, unknown> | undefined;
  };
}

/** Messages with files. */
export interface MediaSourceStore {
  /** Undefined where the conversation has no such message. The caller checks who may see it. */
  find(conversationId: string, messageId: string): Promise<MediaSource | undefined>;
}

/** {@linkcode MediaSourceStore} on a service client. */
export function createMediaSourceStore(client: DatabaseClient): MediaSourceStore {
  return {
    async find(conversationId, messageId) {
      const [row] = await rpc(client, "message_source", {
        conversation_id: conversationId,
        message_id: messageId,
      });
      return row && {
        workspaceId: row.workspace_id,
        conversationId,
        connectionId: row.connection_id ?? undefined,
        phoneNumberId: row.phone_number_id ?? undefined,
        copyPath: row.copy_path ?? undefined,
        message: {
          id: messageId,
          media_url: row.media_url,
          metadata: row.metadata ?? undefined,
        },
      };
    },
  };
}

/** Which connection has which phone number. */
export interface NumberStore {
  /**
   * Gives a connection the number that it requests. The caller has proven the number.
   *
   * @param lapsedConnectionId A connection that has the number and cannot prove it, and so loses it.
   */
  claim(
    connectionId: string,
    phoneNumberId: string,
    lapsedConnectionId?: string | null,
  ): Promise<{
    /** `changed`: it requests another one in the meantime. */
    outcome: "claimed" | "changed" | "taken";
    /** Where it is taken: by which connection; null where that has just given it up. */
    holderId: string | null;
  }>;
}

/** {@linkcode NumberStore} on a service client. */
export function createNumberStore(client: DatabaseClient): NumberStore {
  return {
    async claim(connectionId, phoneNumberId, lapsedConnectionId) {
      const [claim] = await rpc(client, "claim_phone_number", {
        connection_id: connectionId,
        phone_number_id: phoneNumberId,
        lapsed_connection_id: lapsedConnectionId ?? undefined,
      });
      return { outcome: claim!.outcome, holderId: claim!.holder_id };
    },
  };
}

/** The credentials of connections. The caller checks that the member may manage the connection. */
export interface CredentialStore {
  /** @param apiKey Null removes it. */
  setKapsoKey(connectionId: string, apiKey: string | null): Promise<void>;
  setWebhookSecret(connectionId: string, secret: string): Promise<void>;
  /** The current webhook secret of a phone number; undefined where it has none of its own. */
  webhookSecret(phoneNumberId: string): Promise<string | undefined>;
}

/**
 * {@linkcode CredentialStore} on a service client.
 *
 * @param cipher Undefined where no CREDENTIALS_KEY is set: then no credential can be stored.
 */
export function createCredentialStore(
  client: DatabaseClient,
  cipher: CredentialCipher | undefined,
): CredentialStore {
  const requireCipher = () => {
    if (!cipher) throw new Error("CREDENTIALS_KEY is not set, so no credential can be stored");
    return cipher;
  };
  return {
    async setKapsoKey(connectionId, apiKey) {
      await rpc(client, "set_kapso_api_key", {
        connection_id: connectionId,
        api_key: apiKey === null ? null : await requireCipher().encrypt(apiKey),
      });
    },
    async setWebhookSecret(connectionId, secret) {
      await rpc(client, "set_webhook_secret", {
        connection_id: connectionId,
        secret: await requireCipher().encrypt(secret),
      });
    },
    async webhookSecret(phoneNumberId) {
      const [stored] = await rpc(client, "webhook_secrets", { phone_number_id: phoneNumberId });
      return stored?.secret ? await requireCipher().decrypt(stored.secret) : undefined;
    },
  };
}
