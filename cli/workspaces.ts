/**
 * Workspaces as the command line names them.
 *
 * @module
 */

import type { DatabaseClient } from "../supabase/functions/_shared/database/clients.ts";
import { CommandError, usageError } from "./command_error.ts";

/** A workspace. */
export interface Workspace {
  readonly id: string;
  readonly slug: string;
}

/**
 * Finds the id of a workspace.
 *
 * @param wanted Its slug or its id.
 * @throws {CommandError} if there is none, or the request fails.
 */
export async function findWorkspace(client: DatabaseClient, wanted: string): Promise<string> {
  const isId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/iu.test(wanted);
  const { data, error } = await client.from("workspaces").select("id")
    .eq(isId ? "id" : "slug", wanted).limit(1);
  if (error) throw new CommandError(`The workspaces could not be read: ${error.message}`);
  if (data.length === 0) throw usageError("There is no such workspace in this project.");
  return data[0]!.id;
}

/**
 * All workspaces of the project, in the order of their slugs.
 *
 * @throws {CommandError} if the request fails.
 */
export async function listWorkspaces(client: DatabaseClient): Promise<Workspace[]> {
  const pageSize = 1000;
  const workspaces: Workspace[] = [];
  for (;;) {
    const { data, error } = await client.from("workspaces").select("id, slug").order("slug")
      .gt("slug", workspaces.at(-1)?.slug ?? "").limit(pageSize);
    if (error) throw new CommandError(`The workspaces could not be read: ${error.message}`);
    workspaces.push(...data);
    if (data.length < pageSize) return workspaces;
  }
}
