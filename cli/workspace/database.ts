/**
 * Connections to the databases of a move. Everything happens in transactions and nothing depends on a session, so a
 * pooler in transaction mode may stand between.
 *
 * @module
 */

import postgres from "postgres";
import { CommandError, usageError } from "../command_error.ts";

/** A pool, or a transaction. */
export type Sql = postgres.ISql;

/**
 * Opens a pool to the database that a variable names.
 *
 * @throws {CommandError} if the variable is missing or is no address of a database.
 */
export function openDatabase(
  env: Record<string, string | undefined>,
  variable: string,
): postgres.Sql {
  const text = env[variable]?.trim();
  if (!text) {
    throw usageError(
      `${variable} is not set. Set it to the connection string of the database, with its password.`,
    );
  }
  const url = URL.parse(text);
  if (url === null || !/^postgres(?:ql)?:$/u.test(url.protocol)) {
    throw usageError(
      `${variable} is not an address like postgresql://postgres:…@<host>:5432/postgres.`,
    );
  }
  // Prepared statements would belong to a session.
  return postgres(text, { max: 3, prepare: false, onnotice: () => {}, connect_timeout: 30 });
}

/** The host of an open pool, for people. */
export function hostOf(sql: postgres.Sql): string {
  return `${sql.options.host[0]}:${sql.options.port[0]}`;
}

/** What makes texts of values the same in every database, and takes the limits off. */
const SETTINGS = `
  set local timezone = 'UTC';
  set local datestyle = 'ISO, YMD';
  set local intervalstyle = 'iso_8601';
  set local bytea_output = 'hex';
  set local extra_float_digits = 1;
  set local search_path = '';
  set local statement_timeout = 0;
  set local idle_in_transaction_session_timeout = 0;
`;

/** Runs work on one consistent state of the database, which others go on changing. */
export async function onSnapshot<T>(
  sql: postgres.Sql,
  work: (sql: postgres.TransactionSql) => Promise<T>,
): Promise<T> {
  return await explained(() =>
    sql.begin("isolation level repeatable read read only", async (transaction) => {
      await transaction.unsafe(SETTINGS);
      return await work(transaction);
    })
  ) as T;
}

/**
 * Runs work in a transaction in which no trigger fires: broadcasts, histories and matching would change what is
 * moved, or tell people about it. Foreign keys are not checked either.
 */
export async function withoutTriggers<T>(
  sql: postgres.Sql,
  work: (sql: postgres.TransactionSql) => Promise<T>,
): Promise<T> {
  return await explained(() =>
    sql.begin(async (transaction) => {
      await transaction.unsafe(SETTINGS);
      await transaction`set local session_replication_role = replica`;
      return await work(transaction);
    })
  ) as T;
}

/**
 * Holds a lock in a transaction of its own while other transactions work.
 *
 * @param lock Gets the lock, or throws.
 */
export async function whileLocked<T>(
  sql: postgres.Sql,
  lock: (sql: postgres.TransactionSql) => Promise<void>,
  work: () => Promise<T>,
): Promise<T> {
  return await explained(() =>
    sql.begin(async (transaction) => {
      await transaction.unsafe(SETTINGS);
      await lock(transaction);
      return await work();
    })
  ) as T;
}

/** @throws {CommandError} for errors that a reader can do something about. */
async function explained<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw explain(error) ?? error;
  }
}

function explain(error: unknown): CommandError | undefined {
  if (!(error instanceof Error) || error instanceof CommandError) return undefined;
  const { code, message } = error as Error & { code?: string };
  const again = "Nothing is lost: run the command again, and it continues.";
  if (code === "42501" && message.includes("session_replication_role")) {
    return new CommandError(
      "This role may not set session_replication_role, so triggers would change what is moved. On hosted Supabase " +
        "and supabase start connect as postgres; elsewhere run: grant set on parameter session_replication_role to <role>.",
    );
  }
  if (code === "3F000" || code === "42883" || code === "42P01") {
    return new CommandError(
      `The database has another version of the schema than this checkout: ${message}. Deploy this version first.`,
    );
  }
  if (code === "23505") {
    const { table_name, constraint_name } = error as Error & Record<string, string>;
    return new CommandError(
      `The target already has a row like one of ${table_name} (${constraint_name}). Nothing of this step is stored.`,
    );
  }
  if (code === "25P02") {
    return new CommandError("The database refused the rows of a file. Its log says why.");
  }
  if (code === "28P01" || code === "28000") {
    return new CommandError(
      "The database refuses the user or the password of the connection string.",
    );
  }
  if (code !== undefined && /^(?:CONNECT|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|57P0|08)/u.test(code)) {
    return new CommandError(`The connection to the database was lost (${code}). ${again}`);
  }
  return undefined;
}
