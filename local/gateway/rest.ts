/**
 * Auth and the REST API, by `@supabase/lite` on the stack's Postgres: sign-in at `/auth/v1`, tables
 * and functions at `/rest/v1`.
 *
 * @module
 */

import { App } from "@supabase/lite";
import { PostgresConnection } from "@supabase/lite/postgres";
import { type Kysely, sql } from "kysely";
import type postgres from "postgres";
import { CommandError } from "../../cli/command_error.ts";
import type { ProjectConfig } from "../project.ts";
import type { Secrets } from "../secrets.ts";

/** Answers requests for `/auth/v1` and `/rest/v1`. */
export interface RestApi {
  fetch(request: Request, peerAddress: string | null): Promise<Response>;
  /** Creates the schema `auth` and the table of applied migrations if they are missing. */
  ensureSystemSchema(): Promise<void>;
  /** Makes the next request read the tables and functions again. */
  forgetSchema(): Promise<void>;
  close(): Promise<void>;
}

/** What `createRestApi` needs. */
export interface RestApiOptions {
  readonly databaseUrl: string;
  readonly config: ProjectConfig;
  readonly secrets: Secrets;
}

/** Creates the APIs. They connect at the first request. */
export function createRestApi(options: RestApiOptions): RestApi {
  const { config, secrets } = options;
  const connection = new RestConnection({
    url: options.databaseUrl,
    postgresOptions: { types: { jsonb: JSONB, timestamptz: TIMESTAMPTZ }, onnotice: () => {} },
  });
  const app = new App(
    {
      connection,
      api: {
        enabled: true,
        schemas: config.api.schemas,
        extra_search_path: config.api.extra_search_path,
        max_rows: config.api.max_rows,
      },
      auth: {
        enabled: true,
        site_url: config.auth.site_url,
        additional_redirect_urls: config.auth.additional_redirect_urls,
        jwt_expiry: config.auth.jwt_expiry,
        enable_signup: config.auth.enable_signup,
        minimum_password_length: config.auth.minimum_password_length,
        email: {
          enable_signup: config.auth.email.enable_signup,
          enable_confirmations: config.auth.email.enable_confirmations,
        },
        jwt_secret: secrets.jwt_secret,
        publishable_key: secrets.publishable_key,
        secret_key: secrets.secret_key,
      },
      // Admin mode would give all rights to requests without a key. Only Studio needs it.
      options: { server: { admin: false, disableStudio: true } },
    } as ConstructorParameters<typeof App>[0],
  );

  return {
    async fetch(request, peerAddress) {
      return await app.fetch(request, { peerAddress });
    },
    async ensureSystemSchema() {
      await app.ensureSystemSchema();
      // The package ignores statements that fail, so this checks for the result.
      const [row] = await connection.driver`
        select to_regclass('auth.users') is not null
          and to_regprocedure('auth.uid()') is not null
          and to_regclass('supabase_migrations.schema_migrations') is not null as complete`;
      if (!row?.complete) throw new CommandError("The tables of Auth could not be created.");
    },
    forgetSchema: () => connection.forgetSchema(),
    close: () => connection.driver.end({ timeout: 1 }),
  };
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

/** Times as PostgREST writes them, `2026-02-01T10:30:00+00:00`; the session is in UTC. */
const TIMESTAMPTZ: postgres.PostgresType = {
  to: 1184,
  from: [1184],
  serialize: (value: unknown) => value,
  parse: (text: string) => text.replace(" ", "T").replace(/\+00$/, "+00:00"),
};

class RestConnection extends PostgresConnection {
  #introspection: ReturnType<PostgresConnection["introspect"]> | undefined;

  constructor(config: ConstructorParameters<typeof PostgresConnection>[0]) {
    super(config);
    // These members are private in TypeScript only. The version is pinned, and this check notices an upgrade.
    for (const name of ["rlsState", "applyJwtSessionContext", "applyRpcRequestGucs"]) {
      if (!(name in this)) throw new Error(`@supabase/lite has changed: it has no ${name}`);
    }
    Object.assign(this, {
      // On its first request the package grants everything on every table of each schema that has a
      // table with row level security, `private` included, to anon, authenticated and service_role.
      // It does so while this is "unknown". bootstrap.sql and the migrations create the roles and grants.
      rlsState: "active",
      applyJwtSessionContext,
      applyRpcRequestGucs,
    });
  }

  /** Reads the schema once for all requests that wait for it. */
  override introspect(
    options?: Parameters<PostgresConnection["introspect"]>[0],
  ): ReturnType<PostgresConnection["introspect"]> {
    if (!options?.useCache) return super.introspect(options);
    this.#introspection ??= super.introspect(options).finally(() => {
      this.#introspection = undefined;
    });
    return this.#introspection;
  }

  /** A read under way may have begun before the change, so its result is dropped too. */
  async forgetSchema(): Promise<void> {
    await this.#introspection;
    await this.clearSchemaCache();
  }
}

/** What the package knows about the sender of a request. */
interface Caller {
  readonly auth?: {
    readonly role?: string;
    readonly uid?: string;
    readonly jwt?: Record<string, unknown>;
  };
  readonly storage?: { readonly operation?: string };
}

/**
 * Sets the caller of the transaction, in one statement instead of the package's six: the round trips took most
 * of the time of a request.
 */
async function applyJwtSessionContext(transaction: Kysely<unknown>, caller: Caller) {
  const { role = "anon", uid = "", jwt } = caller.auth ?? {};
  await sql`select
    set_config('request.jwt.claim.sub', ${uid}, true),
    set_config('request.jwt.claim.role', ${role}, true),
    set_config('request.jwt.claims', ${jwt ? JSON.stringify(jwt) : ""}, true),
    set_config('storage.operation', ${caller.storage?.operation ?? ""}, true),
    set_config('role', ${role}, true)`.execute(transaction);
}

/** Sets the request settings for a called function, as PostgREST does, in one statement instead of five. */
async function applyRpcRequestGucs(
  transaction: Kysely<unknown>,
  request: { method: string; path: string; requestHeaders?: Record<string, string> },
) {
  await sql`select
    set_config('response.status', '', true),
    set_config('response.headers', '', true),
    set_config('request.method', ${request.method}, true),
    set_config('request.path', ${request.path}, true),
    set_config('request.headers', ${JSON.stringify(request.requestHeaders ?? {})}, true)`
    .execute(transaction);
}
