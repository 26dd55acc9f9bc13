/**
 * The people of a workspace in this project's database.
 *
 * @module
 */
import type { PeopleQuery, Person } from "../_shared/contracts/messaging_people.ts";
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { rpc } from "../_shared/database/rpc.ts";

/** Where people are read. */
export interface PeopleStore {
  /**
   * Lists a page of the people of one workspace, least recently changed first, and counts all that match.
   *
   * @throws {AppError} as `databaseError`.
   */
  list(workspaceId: string, query: PeopleQuery): Promise<{ total: number; people: Person[] }>;
}

/** Creates a {@linkcode PeopleStore} on a service client. Every call carries its workspace. */
export function createPeopleStore(client: DatabaseClient): PeopleStore {
  return {
    async list(workspaceId, query) {
      const rows = await rpc(client, "list_people", {
        workspace_id: workspaceId,
        max_people: query.limit,
        skip: query.offset,
        search: query.search,
        phone: query.phone,
        updated_since: query.updated_since,
        // Names and phone numbers must not stand in a URL.
      }, { get: query.search === undefined && query.phone === undefined });
      return {
        total: rows[0]?.total ?? 0,
        people: rows.flatMap((row): Person[] =>
          // A page past the end is one row with the total and no person.
          row.id === null ? [] : [{
            id: row.id,
            name: row.name,
            email: row.email,
            phone: row.phone_number,
            avatar_url: row.avatar_url,
            // In milliseconds, as JavaScript has it: rounded down, so that updated_since misses no change.
            updated_at: new Date(row.updated_at).toISOString(),
          }]
        ),
      };
    },
  };
}
