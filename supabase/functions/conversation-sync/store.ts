/**
 * Agents' sessions in this project's database: one call per request, and one that counts where it only reads. The hash
 * of the key goes along, and the SQL function that does the work checks it first.
 *
 * @module
 */
import type { AgentSessionRow, AgentWriteOutcome } from "../_shared/database/agent_rows.ts";
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { type Arguments, type Returned, rpc } from "../_shared/database/rpc.ts";
import { createReadCounter } from "./read_counter.ts";

/** SQL functions that read. */
export type ReadFunction =
  | "find_agent_session"
  | "find_agent_business"
  | "read_agent_session"
  | "list_agent_sessions";

/** SQL functions that write a session. */
export type WriteFunction =
  | "create_agent_session"
  | "sync_agent_session"
  | "change_agent_intent"
  | "write_agent_context"
  | "add_agent_message"
  | "reset_agent_session"
  | "extend_agent_session"
  | "link_agent_order"
  | "end_agent_session";

/** Arguments of a SQL function, without the key. An undefined one takes the function's default. */
export type SessionArguments<Name extends ReadFunction | WriteFunction> = Omit<
  Arguments<Name>,
  "key_sha256"
>;

/** Result of a write. */
export interface WrittenSession {
  outcome: AgentWriteOutcome;
  /** The session as it is now; after a conflict, as another writer left it. */
  session: AgentSessionRow;
}

/** Where sessions are kept. */
export interface SessionStore {
  /**
   * Calls a SQL function that reads, once.
   *
   * @param keySha256 SHA-256 of the agent key.
   * @throws {AppError} invalid_agent_key (401), or as `databaseError`.
   */
  read<Name extends ReadFunction>(
    keySha256: string,
    name: Name,
    args: SessionArguments<Name>,
  ): Promise<Returned<Name>>;
  /**
   * Calls a SQL function that writes, once.
   *
   * @param keySha256 SHA-256 of the agent key.
   * @throws {AppError} invalid_agent_key (401), or as `databaseError`: nothing was written, or, for 503, the
   *   result is unknown.
   */
  write<Name extends WriteFunction>(
    keySha256: string,
    name: Name,
    args: SessionArguments<Name>,
  ): Promise<WrittenSession>;
  /**
   * Whether a key is valid. Only for requests that make no other call.
   *
   * @throws {AppError} as `databaseError`.
   */
  hasKey(keySha256: string): Promise<boolean>;
  /**
   * Resolves if the database answers.
   *
   * @throws {AppError} as `databaseError`.
   */
  ping(): Promise<void>;
}

/**
 * Creates a {@linkcode SessionStore} on a service client. Every call carries the hash of a key.
 *
 * @param monotonic Clock, milliseconds.
 */
export function createSessionStore(
  client: DatabaseClient,
  monotonic: () => number,
): SessionStore {
  const countRead = createReadCounter(client, monotonic);
  return {
    async read(keySha256, name, args) {
      await countRead(keySha256);
      return await rpc(client, name, { ...args, key_sha256: keySha256 } as Arguments<typeof name>);
    },
    async write(keySha256, name, args) {
      const [written] = await rpc(
        client,
        name,
        { ...args, key_sha256: keySha256 } as Arguments<typeof name>,
      );
      return { outcome: written!.outcome, session: written!.data };
    },
    async hasKey(keySha256) {
      await countRead(keySha256);
      return await rpc(client, "check_agent_key", { key_sha256: keySha256 });
    },
    async ping() {
      await rpc(client, "is_database_up", {}, { get: true });
    },
  };
}
