/**
 * The tables of the Auth service and of the list of applied migrations, which exist on hosted Supabase before the first
 * migration.
 *
 * @module
 */

import { PostgresConnection } from "@supabase/lite/postgres";
import type postgres from "postgres";
import { CommandError } from "../../cli/command_error.ts";
import { createApp } from "../gateway/rest.ts";
import type { ProjectConfig } from "../project.ts";
import type { Secrets } from "../secrets.ts";
import { asRole, SUPERUSER } from "./roles.ts";

/** What `ensureSystemSchema` needs. */
export interface SystemSchemaOptions {
  /** A session of the superuser. */
  readonly admin: postgres.Sql;
  readonly databaseUrl: string;
  readonly config: ProjectConfig;
  readonly secrets: Secrets;
}

/** Gives Auth its schema, and the owner of the project the list of its migrations. */
const HAND_OVER = `
  do $$
  declare
    part record;
  begin
    for part in
      select 'table' as kind, oid::regclass::text as name, relnamespace::regnamespace::text as schema
      from pg_class
      where relkind in ('r', 'p') and relnamespace::regnamespace::text in ('auth', 'supabase_migrations')
      union all
      select 'view', oid::regclass::text, 'auth'
      from pg_class
      where relkind = 'v' and relnamespace = 'auth'::regnamespace
      union all
      select 'function', oid::regprocedure::text, 'auth' from pg_proc where pronamespace = 'auth'::regnamespace
      union all
      select 'type', oid::regtype::text, 'auth' from pg_type where typtype = 'e' and typnamespace = 'auth'::regnamespace
      union all
      select 'schema', 'supabase_migrations', 'supabase_migrations'
    loop
      execute format(
        'alter %s %s owner to %I',
        part.kind, part.name, case part.schema when 'auth' then 'supabase_auth_admin' else 'postgres' end
      );
    end loop;
  end
  $$;
  grant all on all tables in schema auth to postgres;
  grant all on all sequences in schema auth to postgres;
  grant all on all routines in schema auth to postgres;
`;

/**
 * Creates the schema `auth` and the table of applied migrations if they are missing.
 *
 * @throws {CommandError} if they could not be created.
 */
export async function ensureSystemSchema(options: SystemSchemaOptions): Promise<void> {
  const { admin, databaseUrl, config, secrets } = options;
  const connection = new PostgresConnection({
    url: asRole(databaseUrl, SUPERUSER),
    postgresOptions: { max: 1, onnotice: () => {} },
  });
  try {
    await createApp(connection, config, secrets).ensureSystemSchema();
  } finally {
    await connection.driver.end({ timeout: 1 });
  }
  // The package ignores statements that fail, so this checks for the result.
  const [row] = await admin`
    select to_regclass('auth.users') is not null
      and to_regprocedure('auth.uid()') is not null
      and to_regclass('supabase_migrations.schema_migrations') is not null as complete`;
  if (!row?.complete) throw new CommandError("The tables of Auth could not be created.");
  await admin.unsafe(HAND_OVER);
}
