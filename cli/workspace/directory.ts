/**
 * `deno task workspace:directory`: writes into the directory which project serves a workspace. Prints no names or keys.
 *
 * @module
 */

import { print, runCommand } from "../command.ts";
import { CommandError, usageError } from "../command_error.ts";
import { isHeaderSafe, readArguments } from "../options.ts";
import { readProjectUrl } from "../project.ts";
import { openDatabase, type Sql } from "./database.ts";
import { findWorkspace } from "./export_run.ts";

const HELP = `Writes into the directory which project serves a workspace.

  deno task workspace:directory <slug>

Replaces what the directory has of the workspace: its slug, connections, phone numbers and keys. Run it after a move,
and after connections or keys were added. A key of several workspaces is left out: it may serve several projects.

Environment:
  TARGET_DATABASE_URL     the database that has the workspace
  TARGET_SUPABASE_URL, TARGET_SUPABASE_PUBLISHABLE_KEY
                          its project, as callers reach it
  DIRECTORY_DATABASE_URL  the database of the project that keeps the directory
`;

interface Entry {
  kind: string;
  value: string;
}

async function main(args: string[]): Promise<number> {
  const { values, positionals } = readArguments({
    args,
    allowPositionals: true,
    options: { help: { type: "boolean", short: "h" } },
  });
  if (values.help) {
    print(HELP);
    return 0;
  }
  const [slug, ...others] = positionals;
  if (slug === undefined || others.length > 0) throw usageError("Give the slug of one workspace.");
  const env = Deno.env.toObject();
  const key = env.TARGET_SUPABASE_PUBLISHABLE_KEY?.trim();
  const address = env.TARGET_SUPABASE_URL?.trim();
  if (!address || !key || !isHeaderSafe(key)) {
    throw usageError("Set TARGET_SUPABASE_URL and TARGET_SUPABASE_PUBLISHABLE_KEY.");
  }
  const url = readProjectUrl(address);
  const target = openDatabase(env, "TARGET_DATABASE_URL");
  const directory = openDatabase(env, "DIRECTORY_DATABASE_URL");
  try {
    const { id, pause } = await findWorkspace(target, slug);
    if (pause !== null) {
      throw new CommandError(
        "The workspace is paused in this database: its new project should be listed.",
      );
    }
    const entries = await readEntries(target, id, slug);
    const written = await directory.begin(async (sql) => {
      await sql`delete from private.directory_entries where workspace_id = ${id}`;
      const rows = entries.map((entry) => ({
        ...entry,
        workspace_id: id,
        project_url: url,
        publishable_key: key,
      }));
      return await sql`insert into private.directory_entries ${sql(rows)} on conflict do nothing`;
    });
    if (written.count < entries.length) {
      throw new CommandError(
        `${
          entries.length - written.count
        } of ${entries.length} entries belong to another workspace. Write that one again, ` +
          "then this one.",
      );
    }
    print(`${written.count} entries lead to ${url}.\n`);
    return 0;
  } finally {
    await Promise.all([target, directory].map((sql) => sql.end({ timeout: 1 })));
  }
}

async function readEntries(sql: Sql, workspaceId: string, slug: string): Promise<Entry[]> {
  return [
    ...await sql<Entry[]>`
    with own as (select * from public.connections where workspace_id = ${workspaceId})
    select 'workspace' as kind, ${slug}::text as value
    union all select 'connection', connection_id from own
    union all select 'phone_number', phone_number_id from own where phone_number_id is not null
    union all
    select 'key', encode(secret_sha256, 'hex')
    from private.connection_secrets where connection_id in (select id from own)
    union all
    select 'key', encode(secret.key_sha256, 'hex')
    from private.agent_key_secrets as secret
    join public.agent_key_workspaces as linked on linked.key_id = secret.key_id
    group by secret.key_sha256
    having array_agg(linked.workspace_id) = array[${workspaceId}::uuid]`,
  ];
}

if (import.meta.main) await runCommand("deno task workspace:directory", main);
