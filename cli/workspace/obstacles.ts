/**
 * What stands in the way of an import.
 *
 * @module
 */

import type { Sql } from "./database.ts";
import { type Manifest } from "./manifest.ts";
import { describeMissing, type MatchedUsers } from "./users.ts";

/** Finds what stands in the way, as sentences for the operator. */
export async function findObstacles(
  sql: Sql,
  exported: Manifest,
  users: MatchedUsers,
  omitsMissingUsers: boolean,
): Promise<string[]> {
  const { workspace, claims } = exported;
  const obstacles: string[] = [];
  const [version] = await sql<{ text: string }[]>`
    select newest || ' ' || count as text from private.expected_migrations()`;
  if (version!.text !== exported.schemaVersion) {
    obstacles.push(
      `The schema of the source is ${exported.schemaVersion}, that of the target ${
        version!.text
      } (newest migration and ` +
        "number). Deploy the same version to both, and export again.",
    );
  }
  if (exported.pause === null) {
    obstacles.push(
      "The workspace was not paused when it was exported, so later messages would be missing. Export with --pause.",
    );
  }
  const [taken] = await sql<{ id: string }[]>`
    select id from public.workspaces where id = ${workspace.id} or slug = ${workspace.slug}`;
  if (taken?.id === workspace.id) {
    obstacles.push("The workspace is in the target already. An import does not add to it.");
  } else if (taken) {
    obstacles.push(
      `Another workspace of the target has the slug ${workspace.slug}. Rename one of them.`,
    );
  }
  const connections = await sql<{ connection_id: string; phone_number_id: string | null }[]>`
    select connection_id, phone_number_id from public.connections
    where workspace_id <> ${workspace.id} and (
      connection_id = any (${claims.connectionIds}::text[])
      or phone_number_id = any (${claims.phoneNumberIds}::text[])
    )
    order by connection_id`;
  for (const { connection_id, phone_number_id } of connections) {
    obstacles.push(
      claims.connectionIds.includes(connection_id)
        ? `Another workspace of the target has a connection ${connection_id}. Delete it there.`
        : `Another workspace of the target has the number with the id ${phone_number_id}. Remove it there.`,
    );
  }
  const keys = await sql<{ key_id: string; sha256: string }[]>`
    select key_id, encode(key_sha256, 'hex') as sha256 from private.agent_key_secrets
    where key_id = any (${claims.agentKeys.map(({ id }) => id)}::uuid[])
      or encode(key_sha256, 'hex') = any (${claims.agentKeys.map(({ sha256 }) => sha256)}::text[])`;
  for (const { key_id, sha256 } of keys) {
    // A key that serves several workspaces came with the first of them.
    if (claims.agentKeys.some((key) => key.id === key_id && key.sha256 === sha256)) continue;
    obstacles.push(
      `The target has another agent key with the id or the secret of ${key_id}. Revoke one of them.`,
    );
  }
  if (!omitsMissingUsers) {
    obstacles.push(
      ...users.missing.map((user) =>
        `No user of the target has the e-mail of ${
          describeMissing(user)
        }. Invite them there, or omit missing users.`
      ),
    );
  }
  const hasOwner = exported.users.some(({ id, role }) => role === "owner" && users.ids.has(id));
  if (!hasOwner) {
    obstacles.push("No owner of the workspace is a user of the target. Invite one of them there.");
  }
  return obstacles;
}
