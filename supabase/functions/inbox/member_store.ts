/**
 * What members read and change in this project's database, with their own token: the database decides what
 * each of them may do.
 *
 * @module
 */
import type { ConnectionChange, NewConnection } from "../_shared/contracts/inbox/connections.ts";
import type {
  Conversation,
  StoredConversationChange,
} from "../_shared/contracts/inbox/conversations.ts";
import type { NewOutboxMessage, OutboxMessage } from "../_shared/contracts/inbox/messages.ts";
import type { Person, PersonChange, PersonMerge } from "../_shared/contracts/inbox/people.ts";
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { refused, sqlStateOf } from "../_shared/database/errors.ts";
import { type Returned, rows, rpc, withoutUndefined } from "../_shared/database/rpc.ts";

/** A phone number that a conversation is answered from. */
export interface SendingNumber {
  /** Primary key of the connection. */
  connectionId: string;
  phoneNumberId: string;
}

/** A message as `enqueue_message` left it. */
export interface QueuedMessage {
  message: OutboxMessage;
  /** False where an earlier request had the same key. */
  isNew: boolean;
  /** When the customer last wrote, ISO 8601; null: never. */
  lastInboundAt: string | null;
}

/** A row of `connections`. */
export type ConnectionRow = Returned<"managed_connection">[number];

/** A row of `connection_overview`. */
export type ConnectionOverview = Returned<"connection_overview">[number];

/** UNIQUE VIOLATION and INSUFFICIENT PRIVILEGE, as SQLSTATE. */
const UNIQUE_VIOLATION = "23505";

/**
 * The database as one member sees it. Every method throws an `AppError` as `databaseError`: the refusals of
 * `database/refusals.ts`, invalid_token (401) and not_found (404).
 */
export type MemberStore = ReturnType<typeof createMemberStore>;

/** {@linkcode MemberStore} on a client with the member's token. */
export function createMemberStore(client: DatabaseClient) {
  return {
    // Messages -----------------------------------------------------------------------------------

    /** Queues a message once for each key. */
    async enqueueMessage(
      conversationId: string,
      idempotencyKey: string,
      message: NewOutboxMessage,
    ): Promise<QueuedMessage> {
      const [queued] = await rpc(client, "enqueue_message", {
        conversation_id: conversationId,
        idempotency_key: idempotencyKey,
        message,
      });
      const { stored, is_new, last_inbound_at } = queued!;
      return { message: stored, isNew: is_new, lastInboundAt: last_inbound_at };
    },
    /** Queues a failed message again; an unconfirmed one only with `confirmPossibleDouble`. */
    async retryMessage(id: string, confirmPossibleDouble: boolean): Promise<OutboxMessage> {
      const [message] = await rpc(client, "retry_message", {
        id,
        confirm_possible_double: confirmPossibleDouble,
      });
      return message!;
    },
    async discardMessage(id: string): Promise<OutboxMessage> {
      const [message] = await rpc(client, "discard_message", { id });
      return message!;
    },
    /** The phone number a conversation is answered from. */
    async sendingNumber(conversationId: string): Promise<SendingNumber> {
      const { connection_id: connectionId, phone_number_id: phoneNumberId } = await rpc(
        client,
        "sending_side",
        { conversation_id: conversationId },
      );
      if (connectionId === null || phoneNumberId === null) throw refused("connection_not_ready");
      return { connectionId, phoneNumberId };
    },

    // Conversations ------------------------------------------------------------------------------

    /** A row of `conversation_list`; null where the member sees no such conversation. */
    async findConversation(id: string): Promise<Pick<Conversation, "id"> | null> {
      return await rows(
        client,
        client.from("conversation_list").select("id").eq("id", id).maybeSingle(),
      );
    },
    setConversationStatus(id: string, status: Conversation["status"]) {
      return rpc(client, "set_conversation_status", { conversation_id: id, status });
    },
    /** @param seenArrivals `inbound_arrivals` of the conversation as the member saw it; undefined: all of it. */
    markConversationRead(
      id: string,
      seenArrivals: number | undefined,
    ): Promise<StoredConversationChange> {
      return rpc(client, "mark_conversation_read", {
        conversation_id: id,
        seen_arrivals: seenArrivals,
      });
    },
    markConversationUnread(id: string): Promise<StoredConversationChange> {
      return rpc(client, "mark_conversation_unread", { conversation_id: id });
    },
    /** @param userId Null unassigns the conversation. */
    assignConversation(id: string, userId: string | null): Promise<StoredConversationChange> {
      return rpc(client, "assign_conversation", { conversation_id: id, user_id: userId });
    },

    // People -------------------------------------------------------------------------------------

    async updatePerson(id: string, change: PersonChange): Promise<Person> {
      const query = client.from("people").update(withoutUndefined(change)).eq("id", id).select()
        .maybeSingle();
      const person = await rows(client, query).catch((error) => {
        throw sqlStateOf(error) === UNIQUE_VIOLATION ? refused("phone_taken") : error;
      });
      if (person !== null) return person;
      // No row was updated: the member does not see the person, or may only read it.
      const seen = await rows(
        client,
        client.from("people").select("id").eq("id", id).maybeSingle(),
      );
      throw refused(seen === null ? "person_not_found" : "role_too_low");
    },
    async linkConversation(conversationId: string, personId: string): Promise<Person> {
      const [person] = await rpc(client, "link_conversation", {
        conversation_id: conversationId,
        person_id: personId,
      });
      return person!;
    },
    async mergePeople(keepId: string, mergeId: string): Promise<PersonMerge> {
      const [merge] = await rpc(client, "merge_people", { keep_id: keepId, merge_id: mergeId });
      return merge!;
    },
    async undoMerge(id: string): Promise<PersonMerge> {
      const [merge] = await rpc(client, "undo_merge", { id });
      return merge!;
    },

    // Connections --------------------------------------------------------------------------------

    /** @param onlyId Primary key of the only connection to list. */
    listConnections(workspaceId: string, onlyId?: string): Promise<ConnectionOverview[]> {
      const args = { workspace_id: workspaceId, only_id: onlyId };
      return rpc(client, "connection_overview", args, { get: true });
    },
    /** @returns Its primary key, and the API secret, which cannot be read again. */
    async createConnection(connection: NewConnection): Promise<{ id: string; api_secret: string }> {
      const [created] = await rpc(client, "create_connection", connection);
      return created!;
    },
    /** A connection that the member may manage. */
    async managedConnection(id: string): Promise<ConnectionRow> {
      const [connection] = await rpc(client, "managed_connection", { id });
      return connection!;
    },
    async updateConnection(id: string, change: ConnectionChange): Promise<ConnectionRow> {
      const [connection] = await rpc(client, "update_connection", { id, change });
      return connection!;
    },
    /** @param graceHours How long the former secret stays valid. */
    async rotateConnectionSecret(id: string, graceHours: number) {
      const [rotated] = await rpc(client, "rotate_connection_secret", {
        id,
        grace_hours: graceHours,
      });
      return rotated!;
    },
  };
}
