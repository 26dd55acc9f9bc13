/**
 * A database for tests: the one of the stack that the runner has started, or of a stack of its own
 * when a test file is run by itself; or, for tests of what works on all rows, one that no other file has.
 *
 * @module
 */

import postgres from "postgres";
import type { StackInfo } from "../../local/stack.ts";
import { sharedStack, type Stack } from "../../local/spawn_stack.ts";
import { createOwnDatabase, type OwnDatabase } from "./own_database.ts";

/** Anything that runs statements: a pool, a session or a transaction. */
export type Sql = postgres.ISql;

/** Who asks: a role without a user, or the id of a user who is signed in. */
export type Actor = "anon" | "service_role" | { readonly userId: string };

/** A value that can be sent as `jsonb`. */
export type Json = postgres.JSONValue;

/**
 * Picks how much a test does: `small` in the suite, `full` in `deno task soak` (`SOAK=1`).
 */
export function size(small: number, full: number): number {
  return Deno.env.get("SOAK") === "1" ? full : small;
}

/** Which database a test file gets. */
export interface UseDatabaseOptions {
  /** One that no other file has, and no stack around it: for jobs that take all there is. */
  readonly own?: boolean;
}

/** The database of a test file, open from its first test to its last. */
export class TestDatabase {
  readonly #isOwn: boolean;
  #own: OwnDatabase | undefined;
  #stack: Stack | undefined;
  #sql: postgres.Sql | undefined;
  #service: postgres.Sql | undefined;

  constructor({ own = false }: UseDatabaseOptions = {}) {
    this.#isOwn = own;
  }

  /** Its address, for the owner of the schema. */
  get url(): string {
    return this.#own?.url ?? this.info.db_url;
  }

  /** How to reach the stack. */
  get info(): StackInfo {
    return opened(this.#stack).info;
  }

  /** Statements as the owner of the schema, who passes by its policies: for set-up and for looking at the result. */
  get sql(): postgres.Sql {
    return opened(this.#sql);
  }

  /** Statements as `service_role`, as the functions have them. */
  get service(): postgres.Sql {
    return opened(this.#service);
  }

  /** A pool of its own, for tests of what happens at the same time. */
  connect(options: postgres.Options<Record<never, never>> = {}): postgres.Sql {
    return connect(this.url, options);
  }

  /** Runs statements as a user, in one transaction that is committed. */
  async as<T>(actor: Actor, work: (sql: Sql) => Promise<T>): Promise<T> {
    let result: T | undefined;
    await this.sql.begin(async (sql) => {
      await become(sql, actor);
      result = await work(sql);
    });
    return result as T;
  }

  /**
   * Runs statements as a user, in one transaction that is rolled back.
   *
   * @param before Statements of the owner, earlier in the same transaction.
   * @returns the result, or the SQLSTATE of the error they ended with.
   */
  async attempt<T>(
    actor: Actor,
    work: (sql: Sql) => Promise<T>,
    before?: (sql: Sql) => PromiseLike<unknown>,
  ): Promise<{ result: T; code?: never } | { code: string; result?: never }> {
    const rollback = new Error("rolled back on purpose");
    let outcome: { result: T } | { code: string } | undefined;
    await this.sql.begin(async (sql) => {
      await before?.(sql);
      await become(sql, actor);
      try {
        outcome = { result: await work(sql) };
      } catch (error) {
        if (!(error instanceof postgres.PostgresError)) throw error;
        outcome = { code: error.code };
      }
      throw rollback;
    }).catch((error) => {
      if (error !== rollback && outcome === undefined) throw error;
    });
    return outcome as { result: T } | { code: string };
  }

  async open(): Promise<void> {
    if (this.#isOwn) this.#own = await createOwnDatabase();
    else this.#stack = await sharedStack();
    this.#sql = connect(this.url, { max: 8 });
    this.#service = connect(this.url, {
      max: 8,
      connection: { role: "service_role" },
    });
  }

  async close(): Promise<void> {
    await Promise.all([this.#sql?.end(), this.#service?.end()]);
    await this.#stack?.stop();
    await this.#own?.[Symbol.asyncDispose]();
  }
}

/** Gives a test file its database: opened before its first test, closed after its last. */
export function useDatabase(options: UseDatabaseOptions = {}): TestDatabase {
  const database = new TestDatabase(options);
  Deno.test.beforeAll(() => database.open());
  Deno.test.afterAll(() => database.close());
  return database;
}

/** Opens a pool. Statements are prepared per session, as postgres.js does it. */
export function connect(
  url: string,
  options: postgres.Options<Record<never, never>> = {},
): postgres.Sql {
  return postgres(url, { onnotice: () => {}, ...options });
}

/** Takes on a role for the rest of a transaction, as PostgREST does for each request. */
export async function become(sql: Sql, actor: Actor): Promise<void> {
  const role = typeof actor === "string" ? actor : "authenticated";
  const subject = typeof actor === "string" ? "" : actor.userId;
  await sql`select
    set_config('role', ${role}, true),
    set_config('request.jwt.claim.sub', ${subject}, true),
    set_config('request.jwt.claims', ${JSON.stringify({ sub: subject || undefined, role })}, true)`;
}

/** Waits for statements, and returns the SQLSTATE they failed with, or null. */
export async function sqlStateOf(statements: PromiseLike<unknown>): Promise<string | null> {
  try {
    await statements;
    return null;
  } catch (error) {
    if (error instanceof postgres.PostgresError) return error.code;
    throw error;
  }
}

/** A refusal of a SQL function: SQLSTATE `PT<status>`, the code, and its details. */
export interface SqlRefusal {
  readonly code: string;
  readonly message: string;
  readonly details: Record<string, unknown> | null;
}

/** Waits for statements, and returns the refusal they failed with, or null. Any other error is thrown. */
export async function refusalOf(statements: PromiseLike<unknown>): Promise<SqlRefusal | null> {
  try {
    await statements;
    return null;
  } catch (error) {
    if (!(error instanceof postgres.PostgresError) || !/^PT4\d\d$/.test(error.code)) throw error;
    const { code, message, detail } = error;
    return { code, message, details: detail ? JSON.parse(detail) : null };
  }
}

/** Resolves when as many sessions of the database wait for a lock. */
export async function untilBlocked(sql: Sql, sessions = 1): Promise<void> {
  while (true) {
    const [row] = await sql<{ blocked: number }[]>`
      select count(*)::integer as blocked
      from pg_stat_activity
      where wait_event_type = 'Lock' and datname = current_database()`;
    if (row!.blocked >= sessions) return;
  }
}

function opened<T>(part: T | undefined): T {
  if (part === undefined) throw new Error("the database is open during tests only");
  return part;
}
