/**
 * Who may listen and send on a private channel: asks the policies of `realtime.messages`, as the Realtime service
 * does, in a transaction that is rolled back.
 *
 * @module
 */

import postgres from "postgres";
import { POLICY_TIMEOUT_MS } from "./limits.ts";
import type { Claims } from "./tokens.ts";

/** A caller and the channel it asks for. */
export interface ChannelRequest {
  /** The topic as the client names it, without `realtime:`. */
  readonly topic: string;
  readonly claims: Claims;
  /** Headers of the request, which policies can read. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Says whether a policy for `select` shows the caller a broadcast on this topic. */
export async function mayListen(sql: postgres.Sql, request: ChannelRequest): Promise<boolean> {
  const id = crypto.randomUUID();
  return await undone(sql, async (transaction) => {
    await transaction`
      insert into realtime.messages (id, topic, extension) values (${id}, ${request.topic}, 'broadcast')`;
    await become(transaction, request);
    const seen = await transaction`select id from realtime.messages where id = ${id}`;
    return seen.length === 1;
  });
}

/** Says whether a policy for `insert` lets the caller broadcast on this topic. */
export async function maySend(sql: postgres.Sql, request: ChannelRequest): Promise<boolean> {
  return await undone(sql, async (transaction) => {
    await become(transaction, request);
    try {
      await transaction.savepoint((inner) =>
        inner`insert into realtime.messages (topic, extension) values (${request.topic}, 'broadcast')`
      );
      return true;
    } catch (error) {
      if (error instanceof postgres.PostgresError && error.code === "42501") return false;
      throw error;
    }
  });
}

/** Sets role and claims until the end of the transaction. */
async function become(transaction: postgres.TransactionSql, request: ChannelRequest) {
  const { topic, claims, headers } = request;
  await transaction`select
    set_config('statement_timeout', ${`${POLICY_TIMEOUT_MS}`}, true),
    set_config('realtime.topic', ${topic}, true),
    set_config('request.jwt.claims', ${JSON.stringify(claims)}, true),
    set_config('request.jwt.claim.sub', ${claims.sub ?? ""}, true),
    set_config('request.jwt.claim.role', ${claims.role}, true),
    set_config('request.headers', ${JSON.stringify(headers)}, true),
    set_config('role', ${claims.role}, true)`;
}

/** Runs a question in a transaction and undoes what it wrote. */
async function undone(
  sql: postgres.Sql,
  question: (transaction: postgres.TransactionSql) => Promise<boolean>,
): Promise<boolean> {
  return await sql.begin(async (transaction) => {
    const answer = await question(transaction);
    await transaction`rollback and chain`;
    return answer;
  }) as boolean;
}
