/**
 * Where the REST API of `@supabase/lite` differs from PostgREST on hosted Supabase, and what this project does about it.
 * `tests/local/rest_test.ts` has a test for each line.
 *
 * | difference | here |
 * |---|---|
 * | works as one role that may do everything | logs in as `authenticator`, and reads the catalogue as `postgres` |
 * | grants all tables of each schema with row level security, `private` included, to the roles of the API | does not |
 * | ignores the settings of roles | sets `statement_timeout` of the caller's role, as PostgREST does for every setting of it |
 * | runs all but GET and HEAD calls of functions read-write | reads, and functions that are `stable` or `immutable`, run read only |
 * | looks up the user and the session of a token with each request | a token counts until it expires |
 * | leaves the search path as it is | `public` and `extra_search_path` of `config.toml` |
 * | answers most errors of Postgres with 500 and the code `SUP` | status and code of PostgREST's table |
 * | prints errors of Postgres, which can contain texts of customers | prints their code |
 * | encodes JSONB arguments of functions twice | once |
 * | writes times as Postgres does | as PostgREST does: `2026-02-01T10:30:00+00:00` |
 * | keeps an empty schema when the catalogue cannot be read | the request fails, and the next one reads it again |
 *
 * @module
 */

import { RelationNotFoundError } from "@supabase/lite";
import { PostgresConnection } from "@supabase/lite/postgres";
import type { MiddlewareHandler } from "hono";
import { type Kysely, sql } from "kysely";
import postgres from "postgres";
import { asRole } from "../postgres/roles.ts";

/** What `RestConnection` needs. */
export interface RestConnectionOptions {
  /** The address of the database for its owner. */
  readonly databaseUrl: string;
  /** Schemas to search after `public`. */
  readonly searchPath: readonly string[];
}

type Introspection = Awaited<ReturnType<PostgresConnection["introspect"]>>;
type RequestAst = Parameters<PostgresConnection["onPostgrestAST"]>[0];

/** What the API knows of the database. */
interface Catalogue {
  readonly schema: Introspection;
  /** Settings of each role of the API: `alter role … set …`. */
  readonly roleSettings: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

/** The database connection of the REST API. */
export class RestConnection extends PostgresConnection {
  /** Reads the catalogue: `authenticator` itself may see nothing. */
  readonly #owner: PostgresConnection;
  readonly #searchPath: string;
  #catalogue: Promise<Catalogue> | undefined;
  /** Requests that may only read, by what the package knows about their sender. */
  readonly #readers = new WeakSet<object>();

  constructor({ databaseUrl, searchPath }: RestConnectionOptions) {
    super({
      url: asRole(databaseUrl, "authenticator"),
      postgresOptions: { types: { jsonb: JSONB, timestamptz: TIMESTAMPTZ }, onnotice: () => {} },
    });
    this.#owner = new PostgresConnection({
      url: databaseUrl,
      postgresOptions: { max: 2, onnotice: () => {} },
    });
    this.#searchPath = ["public", ...searchPath]
      .map((schema) => `"${schema.replaceAll('"', '""')}"`).join(", ");
    // These members are private in TypeScript only. The version is pinned, and this check notices an upgrade.
    for (const name of ["rlsState", "applyJwtSessionContext", "applyRpcRequestGucs"]) {
      if (!(name in this)) throw new Error(`@supabase/lite has changed: it has no ${name}`);
    }
    Object.assign(this, {
      // While this is "unknown", the first request makes the package grant everything.
      rlsState: "active",
      applyJwtSessionContext: (transaction: Kysely<unknown>, caller: Caller) =>
        this.#becomeCaller(transaction, caller),
      applyRpcRequestGucs,
    });
  }

  override async introspect(): Promise<Introspection> {
    return (await this.#readCatalogue()).schema;
  }

  override async onPostgrestAST(ast: RequestAst, caller?: object): Promise<RequestAst> {
    const checked = await super.onPostgrestAST(ast);
    if (caller && isReadOnly(checked, await this.introspect())) this.#readers.add(caller);
    return checked;
  }

  override normalizeDbError(error: unknown): unknown {
    if (error instanceof postgres.PostgresError) return asPostgrestAnswers(error);
    return error instanceof RelationNotFoundError ? printedAs(error, error.message) : error;
  }

  /** Makes the next request read the catalogue again. */
  forgetSchema(): void {
    this.#catalogue = undefined;
  }

  /** Closes the connections. */
  async end(): Promise<void> {
    await Promise.all([this.driver, this.#owner.driver].map((each) => each.end({ timeout: 1 })));
  }

  /** Reads the catalogue once for all requests that wait for it. */
  #readCatalogue(): Promise<Catalogue> {
    if (this.#catalogue) return this.#catalogue;
    const reading = readCatalogue(this.#owner);
    this.#catalogue = reading;
    reading.catch(() => {
      if (this.#catalogue === reading) this.#catalogue = undefined;
    });
    return reading;
  }

  /**
   * Sets the caller of the transaction and its limits, in one statement instead of the package's six: the round trips
   * took most of the time of a request.
   */
  async #becomeCaller(transaction: Kysely<unknown>, caller: Caller): Promise<void> {
    const { role = "anon", jwt } = caller.auth ?? {};
    const { roleSettings } = await this.#readCatalogue();
    const settings = {
      "search_path": this.#searchPath,
      "request.jwt.claim.sub": String(jwt?.sub ?? ""),
      "request.jwt.claim.role": role,
      "request.jwt.claims": jwt ? JSON.stringify(jwt) : "",
      "transaction_read_only": this.#readers.has(caller) ? "on" : "off",
      ...roleSettings.get(role),
      role,
    };
    const calls = Object.entries(settings).map(([name, value]) =>
      sql`set_config(${name}, ${value}, true)`
    );
    await sql`select ${sql.join(calls)}`.execute(transaction);
  }
}

/**
 * Keeps the package from looking up the user and the session of a token, by claiming that it has. The token itself is
 * verified later, and `RestConnection` takes the user's id from it.
 */
export const skipSessionLookup: MiddlewareHandler = async (context, next) => {
  context.set("userId", "verified later");
  context.set("sessionId", "verified later");
  await next();
};

/** What the package knows about the sender of a request. */
interface Caller {
  readonly auth?: {
    readonly role?: string;
    readonly jwt?: Record<string, unknown> | null;
  };
}

async function readCatalogue(owner: PostgresConnection): Promise<Catalogue> {
  const schema = await owner.introspect();
  // The package logs an error and returns an empty schema.
  if (schema.functions === undefined) throw new Error("the catalogue could not be read");
  const rows = await owner.driver<{ role: string; setting: string }[]>`
    select rolname as role, unnest(rolconfig) as setting
    from pg_roles
    where pg_has_role('authenticator', oid, 'member') and rolname <> 'authenticator'`;
  const roleSettings = new Map<string, Record<string, string>>();
  for (const { role, setting } of rows) {
    const [name = "", value = ""] = setting.split(/=(.*)/s);
    roleSettings.set(role, { ...roleSettings.get(role), [name]: value });
  }
  return { schema, roleSettings };
}

/** Says whether PostgREST would run a request read only: tables that are read, and functions that promise not to write. */
function isReadOnly(ast: RequestAst, schema: Introspection): boolean {
  const { type, function: name, args } = ast as {
    type?: string;
    function?: string;
    args?: unknown;
  };
  if (type === "query") return true;
  if (type !== "rpc") return false;
  const given = args && typeof args === "object" && !Array.isArray(args) ? Object.keys(args) : [];
  const called = (schema.functions ?? []).filter((each) => {
    const needed = each.arg_names.slice(0, each.arg_names.length - each.arg_defaults);
    return each.name === name && each.schema === (ast.schema ?? "public") &&
      given.every((argument) => each.arg_names.includes(argument)) &&
      needed.every((argument) => given.includes(argument));
  });
  return called.length > 0 && called.every((each) => each.volatility !== "v");
}

/** Sets the request settings for a called function, as PostgREST does, in one statement instead of five. */
async function applyRpcRequestGucs(
  transaction: Kysely<unknown>,
  request: { method: string; path: string; requestHeaders?: Record<string, string> },
): Promise<void> {
  await sql`select
    set_config('response.status', '', true),
    set_config('response.headers', '', true),
    set_config('request.method', ${request.method}, true),
    set_config('request.path', ${request.path}, true),
    set_config('request.headers', ${JSON.stringify(request.requestHeaders ?? {})}, true)`
    .execute(transaction);
}

/**
 * Statuses of SQLSTATEs and their classes in PostgREST 14 (`Error.hs`), the longest that fits. All others are 400.
 */
const STATUSES: Readonly<Record<string, number>> = {
  "08": 503,
  "09": 500,
  "0L": 403,
  "0P": 403,
  "21000": 500,
  "23503": 409,
  "23505": 409,
  "25": 500,
  "25006": 405,
  "28": 403,
  "2D": 500,
  "38": 500,
  "39": 500,
  "3B": 500,
  "40": 500,
  "42883": 404,
  "42P01": 404,
  "42P17": 500,
  "53": 503,
  "53400": 500,
  "54": 500,
  "55": 500,
  "57": 500,
  "57P01": 503,
  "58": 500,
  "F0": 500,
  "HV": 500,
  "P0": 500,
  "P0001": 400,
  "XX": 500,
};

/**
 * SQLSTATEs that the package answers as PostgREST does: 42501 by the caller's role, 42703 and 42883 with names as
 * PostgREST writes them, and those that a function chooses.
 */
const ANSWERED_BY_PACKAGE = /^(?:42501|42703|42883|PT\d{3}|PGRST)$/;

/** Turns an error of Postgres into one for which the package gives the answer of PostgREST. */
function asPostgrestAnswers(error: postgres.PostgresError): unknown {
  const { code, message, detail = null, hint = null } = error;
  const answer = ANSWERED_BY_PACKAGE.test(code) ? { code, message, detail, hint } : {
    // A function raises this SQLSTATE to choose the whole answer.
    code: "PGRST",
    message: JSON.stringify({ code, message, details: detail, hint }),
    detail: JSON.stringify({ status: statusOf(code, message), headers: {} }),
  };
  return printedAs(answer, `the REST API answers SQLSTATE ${code}`);
}

/** The package prints every error that it answers: makes it print this line instead. */
function printedAs<T extends object>(error: T, line: string): T {
  return Object.defineProperty(error, Symbol.for("Deno.customInspect"), { value: () => line });
}

function statusOf(code: string, message: string): number {
  if (code === "22023" && /^role .* does not exist$/.test(message)) return 401;
  return STATUSES[code] ?? STATUSES[code.slice(0, 2)] ?? 400;
}

/**
 * Serialises JSONB once: arguments of `rpc` calls are JSON text already, and the serializer of the package would
 * turn each into a JSON string.
 */
const JSONB: postgres.PostgresType = {
  to: 3802,
  from: [3802],
  serialize: (value: unknown) => typeof value === "string" ? value : JSON.stringify(value),
  parse: (text: string) => JSON.parse(text),
};

/** Times as PostgREST writes them; the session is in UTC. */
const TIMESTAMPTZ: postgres.PostgresType = {
  to: 1184,
  from: [1184],
  serialize: (value: unknown) => value,
  parse: (text: string) => text.replace(" ", "T").replace(/\+00$/, "+00:00"),
};
