/**
 * The people of a workspace in this project's database.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { databaseError } from "../_shared/http/errors.ts";
import type { HandlerDeps, Person } from "./handler.ts";

/** `listPeople` on a service client. Every call carries its workspace. */
export function supabasePeople(client: DatabaseClient): HandlerDeps["listPeople"] {
  return async (workspaceId, query) => {
    const { data, error, status } = await client.rpc("list_people", {
      workspace_id: workspaceId,
      max_people: query.limit,
      skip: query.offset,
      ...(query.search === undefined ? {} : { search: query.search }),
      ...(query.phone === undefined ? {} : { phone: query.phone }),
      ...(query.updated_since === undefined ? {} : { updated_since: query.updated_since }),
    });
    if (error) throw databaseError(error, status);
    return {
      total: data[0]?.total ?? 0,
      // A page past the end is one row with the total and no person.
      people: data.filter((row) => row.id !== null).map((row): Person => ({
        id: row.id,
        name: row.name,
        email: row.email,
        phone: row.phone_number,
        avatar_url: row.avatar_url,
        // In milliseconds, as JavaScript has it: rounded down, so that updated_since misses nobody.
        updated_at: new Date(row.updated_at).toISOString(),
      })),
    };
  };
}
