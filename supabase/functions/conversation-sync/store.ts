/**
 * Agents' sessions in this project's database: one call for each request. The key goes along, and the
 * function that does the work checks it first.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/database/clients.ts";
import type { Database, Json } from "../_shared/database/database.types.ts";
import { databaseError } from "../_shared/http/errors.ts";

type Functions = Database["public"]["Functions"];

/** The SQL functions that answer agents. Each returns an outcome and data. */
export type SessionFunction =
  | "find_agent_session"
  | "find_agent_business"
  | "read_agent_session"
  | "list_agent_sessions"
  | "create_agent_session"
  | "sync_agent_session"
  | "change_agent_intent"
  | "write_agent_context"
  | "add_agent_message"
  | "reset_agent_session"
  | "extend_agent_session"
  | "link_agent_order"
  | "end_agent_session";

/** Arguments of a function; what is undefined takes the function's default. */
export type SessionArguments<Name extends SessionFunction> = {
  [Key in keyof Functions[Name]["Args"]]: Functions[Name]["Args"][Key] | undefined;
};

/** What became of a call. */
export interface SessionOutcome {
  /** `ok`, `created`, or why nothing was done. */
  outcome: string;
  /** What was asked for; of `conflict`, the state as it is. */
  data: unknown;
}

/** Where sessions are kept. */
export interface AgentSessions {
  /**
   * Call a function, once.
   *
   * @throws {AppError} as {@linkcode databaseError}: then nothing was written, or it cannot be known.
   */
  call<Name extends SessionFunction>(
    name: Name,
    args: SessionArguments<Name>,
  ): Promise<SessionOutcome>;
  /**
   * Whether a key, of which this is the SHA-256, is one. Only for requests without a call.
   *
   * @throws {AppError} as {@linkcode databaseError}.
   */
  hasKey(keySha256: string): Promise<boolean>;
  /**
   * Resolves if the database answers.
   *
   * @throws {AppError} as {@linkcode databaseError}.
   */
  ping(): Promise<void>;
}

/** {@linkcode AgentSessions} on a service client. Every call carries the hash of a key. */
export function supabaseSessions(client: DatabaseClient): AgentSessions {
  return {
    async call(name, args) {
      const given = Object.fromEntries(
        Object.entries(args as Record<string, Json | undefined>)
          .filter(([, value]) => value !== undefined),
      );
      const { data, error, status } = await client.rpc(name, given as never);
      if (error) throw databaseError(error, status);
      return (data as unknown as SessionOutcome[])[0]!;
    },
    async hasKey(keySha256) {
      const data = await rpc(client, "check_agent_key", {
        key_sha256: keySha256,
      });
      return data;
    },
    async ping() {
      await rpc(client, "is_database_up", {});
    },
  };
}
