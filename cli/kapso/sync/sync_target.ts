/**
 * Finds the workspace to sync, and its Kapso numbers.
 *
 * @module
 */

import type { DatabaseClient } from "../../../supabase/functions/_shared/database/clients.ts";
import { CommandError, usageError } from "../../command_error.ts";
import { safeText } from "./text.ts";

/** A Kapso number. */
export interface KapsoNumber {
  /** Primary key of the connection. */
  id: string;
  connectionId: string;
  phoneNumberId: string;
  isActive: boolean;
}

/** A workspace and the numbers to sync, at least one. */
export interface Target {
  workspaceId: string;
  slug: string;
  numbers: KapsoNumber[];
}

/** How many slugs a message lists. */
const MAX_LISTED = 20;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Finds the workspace and its numbers.
 *
 * @param client Bypasses row level security: the person at the terminal owns the project.
 * @param asked `workspace` is a slug or an id; `connection` is a connection_id, an id or a
 *   phone_number_id. Without both: the only workspace that has a Kapso number.
 * @throws {CommandError} if none matches, or several workspaces do.
 */
export async function findTarget(
  client: DatabaseClient,
  asked: { workspace?: string; connection?: string },
): Promise<Target> {
  const slug = asked.workspace === undefined && asked.connection === undefined
    ? await onlySlug(client)
    : asked.workspace;
  const workspace = slug === undefined ? undefined : await findWorkspace(client, slug);
  const found = unwrap(
    await client.rpc("connections_to_sync", {
      ...(workspace === undefined ? {} : { workspace: workspace.id }),
      ...(asked.connection === undefined ? {} : { connection: asked.connection }),
    }),
  );
  const [first] = found;
  if (first === undefined) throw await noNumber(client, workspace, asked.connection);
  const slugs = new Set(found.map(({ workspace_slug }) => workspace_slug));
  if (slugs.size > 1) {
    throw usageError(
      `Several workspaces have a connection ${safeText(asked.connection!)}: ${
        list([...slugs])
      }. Give the workspace's slug as well.`,
    );
  }
  return {
    workspaceId: first.workspace_id,
    slug: first.workspace_slug,
    numbers: found.map((row) => ({
      id: row.id,
      connectionId: row.connection_id,
      phoneNumberId: row.phone_number_id,
      isActive: row.is_active,
    })),
  };
}

interface Workspace {
  id: string;
  slug: string;
}

async function findWorkspace(client: DatabaseClient, wanted: string): Promise<Workspace> {
  const column = UUID.test(wanted) ? "id" : "slug";
  const [found] = unwrap(
    await client.from("workspaces").select("id, slug").eq(column, wanted).limit(1).retry(false),
  );
  if (found) return found;
  const slugs = await slugsWithNumbers(client);
  throw usageError(
    `Workspace not found: there is no workspace "${safeText(wanted)}" in this project. ` +
      (slugs.length === 0
        ? "Verify the slug, and that SUPABASE_URL is the right project: no workspace in it has a Kapso number."
        : `Verify the slug; these workspaces have a Kapso number: ${list(slugs)}.`),
  );
}

async function onlySlug(client: DatabaseClient): Promise<string> {
  const slugs = await slugsWithNumbers(client);
  if (slugs.length === 1) return slugs[0]!;
  throw usageError(
    slugs.length === 0
      ? `No workspace of this project has a Kapso number. ${HOW_TO_ADD}`
      : `Several workspaces have a Kapso number: ${list(slugs)}. Give one: ` +
        `deno task kapso:sync ${slugs[0]}`,
  );
}

const HOW_TO_ADD =
  "Create a connection with platform whatsapp and its phone_number_id; docs/operations.md says how.";

async function slugsWithNumbers(client: DatabaseClient): Promise<string[]> {
  const rows = unwrap(
    await client.from("workspaces").select("slug, connections!inner(id)")
      .eq("connections.platform", "whatsapp").not("connections.phone_number_id", "is", null)
      .order("slug").limit(MAX_LISTED + 1).retry(false),
  );
  return rows.map(({ slug }) => slug);
}

async function noNumber(
  client: DatabaseClient,
  workspace: Workspace | undefined,
  connection: string | undefined,
): Promise<CommandError> {
  if (connection === undefined) {
    return usageError(`Workspace ${workspace!.slug} has no Kapso number. ${HOW_TO_ADD}`);
  }
  const wanted = `connection_id, id or phone_number_id ${safeText(connection)}`;
  if (workspace === undefined) {
    return usageError(
      `No Kapso number has the ${wanted}. Check --connection or PHONE_NUMBER_ID.`,
    );
  }
  const rows = unwrap(await client.rpc("connections_to_sync", { workspace: workspace.id }));
  const known = rows.map((row) => `${row.connection_id} (${row.phone_number_id})`);
  return usageError(
    `No Kapso number of workspace ${workspace.slug} has the ${wanted}. Check --connection or ` +
      `PHONE_NUMBER_ID; the workspace has ${known.length === 0 ? "none" : list(known)}.`,
  );
}

function list(names: string[]): string {
  const shown = names.slice(0, MAX_LISTED).map((name) => safeText(name)).join(", ");
  return names.length > MAX_LISTED ? `${shown}, …` : shown;
}

interface Answer<Data> {
  data: Data | null;
  error: { message: string; code?: string } | null;
  status: number;
}

/** Returns the data of an answer. @throws {CommandError} saying what to check. */
function unwrap<Data>({ data, error, status }: Answer<Data>): Data {
  if (!error) return data!;
  if (status === 401 || status === 403) {
    throw usageError(
      "The project refuses SUPABASE_SECRET_KEY. Give a secret key (or the legacy service_role key) of " +
        "the project that SUPABASE_URL names.",
    );
  }
  if (status === 0) {
    throw new CommandError(
      "Cannot reach the project. Check that it is running, SUPABASE_URL, and the network.",
    );
  }
  if (status === 404) {
    throw new CommandError(
      "The project's database has no connections_to_sync(). Check SUPABASE_URL, and apply the " +
        "migrations: supabase db push.",
    );
  }
  throw new CommandError(
    `The project's database answered ${status}${error.code ? ` (${safeText(error.code)})` : ""}. ` +
      "Try again; its log has the rest.",
  );
}
