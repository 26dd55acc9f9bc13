/**
 * Users of a move: those of the source are found in the target by e-mail.
 *
 * @module
 */

import type { Sql } from "./database.ts";
import type { ExportedUser, Manifest, PauseState } from "./manifest.ts";

/** Users of the source in the target. */
export interface MatchedUsers {
  /** Ids of the target by ids of the source. */
  readonly ids: ReadonlyMap<string, string>;
  readonly missing: readonly ExportedUser[];
}

/** Finds the users of an export in the target. */
export async function matchUsers(sql: Sql, { users }: Manifest): Promise<MatchedUsers> {
  const emails = users.flatMap(({ email }) => email === null ? [] : [email]);
  const found = await sql<{ id: string; email: string }[]>`
    select distinct on (lower(email)) id, lower(email) as email from auth.users
    where lower(email) = any (${emails}::text[])
    order by lower(email), id`;
  const byEmail = new Map(found.map(({ id, email }) => [email, id]));
  const ids = new Map<string, string>();
  const missing: ExportedUser[] = [];
  for (const user of users) {
    const id = user.email === null ? undefined : byEmail.get(user.email);
    if (id === undefined) missing.push(user);
    else ids.set(user.id, id);
  }
  return { ids, missing };
}

/** What naming a missing user means, in a sentence. */
export function describeMissing({ email, id, role, references }: ExportedUser): string {
  const rows = Object.entries(references).map(([place, count]) => `${place}: ${count}`).join(", ");
  return `${email ?? `user ${id}, without an e-mail`}${role === null ? "" : `, ${role}`} (${rows})`;
}

/** What the pause has switched off, for the users of the target. */
export function stateForTarget(state: PauseState, { ids }: MatchedUsers): PauseState {
  const roles = Object.entries(state.roles).flatMap(([id, role]) => {
    const found = ids.get(id);
    return found === undefined ? [] : [[found, role] as const];
  });
  return { ...state, roles: Object.fromEntries(roles) };
}

/** How many rows should name each user of the target, by place and id. */
export function expectedReferences(
  { users }: Manifest,
  { ids }: MatchedUsers,
): Map<string, number> {
  const expected = new Map<string, number>();
  for (const user of users) {
    const id = ids.get(user.id);
    if (id === undefined) continue;
    for (const [place, rows] of Object.entries(user.references)) {
      const key = `${place} ${id}`;
      expected.set(key, (expected.get(key) ?? 0) + rows);
    }
  }
  return expected;
}
