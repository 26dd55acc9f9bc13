/**
 * The cast of the tests: workspaces with a member of every role, their connections and contacts.
 * Everything gets an id of its own, so that tests do not meet.
 *
 * @module
 */

import type { Sql } from "./database.ts";

/** Roles of members, in the order of what they may do. */
export const ROLES = ["owner", "admin", "agent", "viewer"] as const;

/** The role of a member. */
export type Role = typeof ROLES[number];

/** A workspace and the user ids of its members. */
export interface Workspace extends Record<Role, string> {
  readonly id: string;
  readonly slug: string;
}

/** A connection as `ingest_conversations` takes it. */
export interface Connection {
  readonly id: string;
  readonly connection_id: string;
  readonly platform: string;
  readonly workspace_id: string;
}

/** A short text that no other test has. */
export function unique(prefix = ""): string {
  return prefix + crypto.randomUUID().replaceAll("-", "").slice(0, 20);
}

/** A mobile number of Indonesia that no other test has: `+628…`, 13 digits. */
export function uniqueNumber(): string {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return `+628${10 + high! % 90}${String(low! % 100_000_000).padStart(8, "0")}`;
}

/** Signs a user up, without a password. A trigger gives them a workspace. */
export async function createUser(sql: Sql, name = "user"): Promise<string> {
  const id = crypto.randomUUID();
  await sql`
    insert into auth.users (id, email, raw_user_meta_data)
    values (${id}, ${`${unique(name)}@example.com`}, ${
    sql.json({ workspace_name: unique(name) })
  })`;
  return id;
}

/** Makes a workspace with one member of every role. */
export async function createWorkspace(
  sql: Sql,
  { defaultCountry = null }: { defaultCountry?: string | null } = {},
): Promise<Workspace> {
  const owner = await createUser(sql, "owner");
  const [workspace] = await sql<{ id: string; slug: string }[]>`
    update public.workspaces set default_country = ${defaultCountry}
    where user_id = ${owner}
    returning id, slug`;
  const members: Record<string, string> = { owner };
  for (const role of ROLES.slice(1)) {
    members[role] = await createUser(sql, role);
    await sql`
      insert into public.workspace_members (workspace_id, user_id, role)
      values (${workspace!.id}, ${members[role]}, ${role})`;
  }
  return { ...workspace!, ...members as Record<Role, string> };
}

/** Makes a connection of a workspace's owner. */
export async function createConnection(
  sql: Sql,
  workspace: Workspace,
  { platform = "whatsapp", userId = workspace.owner }: { platform?: string; userId?: string } = {},
): Promise<Connection> {
  const [connection] = await sql<Connection[]>`
    insert into public.connections (connection_id, workspace_id, user_id, platform, name)
    values (${unique("c_")}, ${workspace.id}, ${userId}, ${platform}, 'Test')
    returning id, connection_id, platform, workspace_id`;
  return connection!;
}

/** Gives a connection a number at Kapso. */
export async function claimNumber(
  sql: Sql,
  connection: Pick<Connection, "id">,
  phoneNumberId: string,
): Promise<void> {
  await sql`
    update public.connections set phone_number_id = ${phoneNumberId} where id = ${connection.id}`;
}

/** Adds a contact and returns its id. */
export async function addPerson(
  sql: Sql,
  workspace: Workspace,
  { phone = null, name = "Someone" }: { phone?: string | null; name?: string } = {},
): Promise<string> {
  const [person] = await sql<{ id: string }[]>`
    insert into public.people (workspace_id, name, phone)
    values (${workspace.id}, ${name}, ${phone})
    returning id`;
  return person!.id;
}

/** Tells how a contact is known on a platform. */
export async function addIdentity(
  sql: Sql,
  workspace: Workspace,
  personId: string,
  platform: string,
  identifier: string,
): Promise<void> {
  await sql`
    insert into public.person_identities (workspace_id, person_id, platform, identifier)
    values (${workspace.id}, ${personId}, ${platform}, ${identifier})`;
}
