/**
 * Calls SQL functions and reads tables, with one kind of error for both.
 *
 * @module
 */
import type { DatabaseClient } from "./clients.ts";
import type { Database } from "./database.types.ts";
import { databaseError, type DatabaseFailure } from "./errors.ts";

type Functions = Database["public"]["Functions"];

/** Name of a SQL function in `public`. */
export type FunctionName = keyof Functions & string;

/** Arguments of a SQL function. One that is undefined takes the function's default. */
export type Arguments<Name extends FunctionName> = {
  [Key in keyof Functions[Name]["Args"]]: Functions[Name]["Args"][Key] | undefined;
};

/** What a SQL function returns. */
export type Returned<Name extends FunctionName> = Functions[Name]["Returns"];

/** Options of {@linkcode rpc}. */
export interface CallOptions {
  /** Messages and changes in the call, if the caller of the function can send fewer at once. */
  readonly items?: number;
  /**
   * Send the call as GET, which read replicas serve. For functions that only read, where the arguments may stand in a
   * URL and no write depends on the result: docs/adr/0036.
   */
  readonly get?: boolean;
}

/**
 * Calls a SQL function.
 *
 * @param client Carries the rights: those of the service, or of a user.
 * @throws {AppError} as `databaseError`.
 */
export async function rpc<Name extends FunctionName>(
  client: DatabaseClient,
  name: Name,
  args: Arguments<Name>,
  options: CallOptions = {},
): Promise<Returned<Name>> {
  const query = client.rpc(name, withoutUndefined(args) as never, { get: options.get ?? false });
  return await rows(client, query, options) as Returned<Name>;
}

/** What a query on a table or view ends with. */
type QueryResult = { data: unknown; error: DatabaseFailure | null; status: number };

/**
 * Reads the data of a query on a table or view.
 *
 * @param client The client that the query was built with.
 * @throws {AppError} as `databaseError`.
 */
export async function rows<Result extends QueryResult>(
  client: DatabaseClient,
  query: PromiseLike<Result>,
  { items }: CallOptions = {},
): Promise<Extract<Result, { error: null }>["data"]> {
  const { data, error, status } = await query;
  if (error) throw databaseError(error, status, client.actsAs, items);
  return data;
}

/** A copy without the keys whose value is undefined: columns and arguments that keep their default. */
export function withoutUndefined<Fields extends object>(
  fields: Fields,
): { [Key in keyof Fields]: Exclude<Fields[Key], undefined> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as { [Key in keyof Fields]: Exclude<Fields[Key], undefined> };
}
