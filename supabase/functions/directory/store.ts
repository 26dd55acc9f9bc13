/**
 * The directory in this project's database.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { rpc } from "../_shared/database/rpc.ts";

/** By what a project is found. */
export type EntryKind = "workspace" | "connection" | "phone_number" | "key";

/** A project of the installation. */
export interface DirectoryProject {
  projectUrl: string;
  publishableKey: string;
}

/** Where projects are found. */
export interface DirectoryStore {
  /**
   * Finds the project that has exactly this name or hash of a key.
   *
   * @returns Undefined where none has.
   * @throws {AppError} rate_limited (429), or as `databaseError`.
   */
  find(kind: EntryKind, value: string): Promise<DirectoryProject | undefined>;
}

/** Creates a {@linkcode DirectoryStore} on a service client. */
export function createDirectoryStore(client: DatabaseClient): DirectoryStore {
  return {
    async find(kind, value) {
      const [found] = await rpc(client, "find_project", { kind, value });
      return found && { projectUrl: found.project_url, publishableKey: found.publishable_key };
    },
  };
}
