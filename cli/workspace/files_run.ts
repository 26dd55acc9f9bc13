/**
 * Copies the files of a workspace from the Storage of one project to that of another. Prints nothing.
 *
 * @module
 */

import {
  createMediaStorage,
  type MediaStorage,
} from "../../supabase/functions/_shared/kapso/media/storage.ts";
import { CommandError, usageError } from "../command_error.ts";
import type { Progress } from "../import/progress.ts";
import { isHeaderSafe } from "../options.ts";
import { readProjectUrl } from "../project.ts";
import type { Sql } from "./database.ts";

/** Seconds that a link is valid: as long as the largest file takes. */
const LINK_SECONDS = 600;
/** Files that are copied at the same time. */
const PARALLEL = 4;

/** The Storages of both projects. */
export interface Storages {
  readonly source: MediaStorage;
  readonly target: MediaStorage;
}

/** What happened to the files. */
export interface CopiedFiles {
  copied: number;
  /** The target had them already, with the same size. */
  known: number;
  /** The source has no such file. */
  gone: number;
}

/**
 * Opens the Storages of both projects.
 *
 * @param env `SOURCE_SUPABASE_URL`, `SOURCE_SUPABASE_SECRET_KEY` and the same with `TARGET`.
 * @throws {CommandError} if a variable is missing, or a project has no Storage.
 */
export async function openStorages(env: Record<string, string | undefined>): Promise<Storages> {
  const open = async (side: "SOURCE" | "TARGET") => {
    const url = env[`${side}_SUPABASE_URL`]?.trim();
    const secretKey = env[`${side}_SUPABASE_SECRET_KEY`]?.trim();
    if (!url || !secretKey || !isHeaderSafe(secretKey)) {
      throw usageError(`--files needs ${side}_SUPABASE_URL and ${side}_SUPABASE_SECRET_KEY.`);
    }
    const storage = createMediaStorage({ supabaseUrl: readProjectUrl(url), secretKey });
    if (!await storage.isThere().catch(() => false)) {
      throw new CommandError(
        `The Storage of the ${side.toLowerCase()} cannot be reached with this key.`,
      );
    }
    return storage;
  };
  return { source: await open("SOURCE"), target: await open("TARGET") };
}

/**
 * Copies the files that the target's messages name. Files that the target has already, with the same size, stay.
 *
 * @throws {CommandError} if a file could not be copied, or has another size afterwards.
 */
export async function copyFiles(
  sql: Sql,
  workspaceId: string,
  { source, target }: Storages,
  progress: Progress,
): Promise<CopiedFiles> {
  const files = await sql<{ path: string; mime_type: string | null }[]>`
    select path, mime_type from private.media_copies
    where workspace_id = ${workspaceId} and path is not null order by path`;
  const result: CopiedFiles = { copied: 0, known: 0, gone: 0 };
  progress.start(files.length);
  const waiting = files.values();
  const work = async () => {
    for (const { path, mime_type } of waiting) {
      result[await copyFile(source, target, path, mime_type)]++;
      progress.advance(1);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return result;
}

async function copyFile(
  source: MediaStorage,
  target: MediaStorage,
  path: string,
  mimeType: string | null,
): Promise<keyof CopiedFiles> {
  const file = await openFile(source, path);
  if (file === undefined) return "gone";
  const size = sizeOf(file);
  const known = await openFile(target, path);
  await known?.body?.cancel();
  if (known !== undefined && sizeOf(known) === size) {
    await file.body?.cancel();
    return "known";
  }
  const type = file.headers.get("content-type") ?? mimeType ?? "application/octet-stream";
  await target.upload(path, file.body!, type);
  const stored = await openFile(target, path);
  await stored?.body?.cancel();
  if (stored === undefined || sizeOf(stored) !== size) {
    throw new CommandError("A file has another size after it was copied. Run the command again.");
  }
  return "copied";
}

/** Opens a file; undefined where Storage has none. @throws {CommandError} if Storage fails. */
async function openFile(storage: MediaStorage, path: string): Promise<Response | undefined> {
  let link: string;
  try {
    link = await storage.sign(path, LINK_SECONDS);
  } catch (error) {
    if (error instanceof Error && "reason" in error && error.reason === "gone") return undefined;
    throw new CommandError("Storage does not answer as it should. Run the command again.", {
      cause: error,
    });
  }
  const response = await fetch(link);
  if (!response.ok) {
    await response.body?.cancel();
    throw new CommandError(`Storage answered with ${response.status}. Run the command again.`);
  }
  return response;
}

function sizeOf(response: Response): number {
  return Number(response.headers.get("content-length"));
}
