/**
 * The folder of an export: `manifest.json`, and a compressed file of COPY for each chunk of rows.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { CommandError, usageError } from "../command_error.ts";

const chunk = z.object({
  table: z.string(),
  after: z.uuid().nullable(),
  until: z.uuid().nullable(),
  rows: z.int().min(0),
  digest: z.string(),
  /** Null where there is no row. */
  file: z.string().nullable(),
  bytes: z.int(),
  sha256: z.string(),
});

/** A chunk of the rows of a table, and its file. */
export type Chunk = z.infer<typeof chunk>;

const user = z.object({
  id: z.uuid(),
  /** Null for users who sign in with a phone number alone. */
  email: z.string().nullable(),
  /** Their role in the workspace, null for former members. */
  role: z.string().nullable(),
  /** How many rows name them, by `table.column`. */
  references: z.record(z.string(), z.int()),
});

/** A user that rows name. */
export type ExportedUser = z.infer<typeof user>;

const pauseState = z.object({
  connections: z.array(z.uuid()),
  roles: z.record(z.uuid(), z.string()),
  agent_keys: z.array(z.uuid()),
  limits: z.array(
    z.object({ name: z.string(), subject_id: z.uuid(), value: z.number().nullable() }),
  ),
});

/** What a pause has switched off. */
export type PauseState = z.infer<typeof pauseState>;

const manifest = z.object({
  format: z.literal(1),
  schemaVersion: z.string(),
  exportedAt: z.iso.datetime(),
  workspace: z.object({ id: z.uuid(), slug: z.string() }),
  /** Null where the workspace was not paused: then it is no export to move with. */
  pause: pauseState.nullable(),
  keyIds: z.array(z.uuid()),
  users: z.array(user),
  claims: z.object({
    connectionIds: z.array(z.string()),
    phoneNumberIds: z.array(z.string()),
    agentKeys: z.array(z.object({ id: z.uuid(), sha256: z.string() })),
  }),
  /** Connections with secrets that are encrypted with CREDENTIALS_KEY. */
  sealedConnections: z.int(),
  /** Files in Storage. */
  mediaFiles: z.int(),
  columns: z.record(z.string(), z.array(z.string())),
  chunks: z.array(chunk),
});

/** What an export holds. */
export type Manifest = z.infer<typeof manifest>;

const receipt = z.object({
  exportId: z.string(),
  /** The host of the database that has it. */
  target: z.string(),
  areFilesMoved: z.boolean(),
});

/** Says that an import of the export was verified. */
export type Receipt = z.infer<typeof receipt>;

const MANIFEST = "manifest.json";
const PROGRESS = "progress.jsonl";
const RECEIPT = "imported.json";

/** Names an export by what it holds. */
export function exportIdOf(exported: Manifest): string {
  return createHash("sha256").update(JSON.stringify(exported)).digest("hex");
}

/** Reads the manifest. @throws {CommandError} if it is not there or not one of this version. */
export async function readManifest(folder: string): Promise<Manifest> {
  const text = await readText(join(folder, MANIFEST));
  if (text === undefined) {
    throw usageError(
      "The folder holds no complete export. Run deno task workspace:export again: it continues.",
    );
  }
  const parsed = manifest.safeParse(parseJson(text));
  if (!parsed.success) {
    throw usageError("The manifest of the folder is damaged, or of another version of this tool.");
  }
  return parsed.data;
}

/** Writes the manifest, which completes an export. */
export async function writeManifest(folder: string, exported: Manifest): Promise<void> {
  await writeText(join(folder, MANIFEST), JSON.stringify(exported, null, 2));
  await Deno.remove(join(folder, PROGRESS)).catch(() => {});
}

/** Reads the receipt of an import. */
export async function readReceipt(folder: string): Promise<Receipt | undefined> {
  const text = await readText(join(folder, RECEIPT));
  return text === undefined ? undefined : receipt.parse(parseJson(text));
}

/** Writes the receipt of an import. */
export async function writeReceipt(folder: string, verified: Receipt): Promise<void> {
  await writeText(join(folder, RECEIPT), JSON.stringify(verified));
}

const progressLine = z.union([
  z.object({ workspaceId: z.uuid() }),
  z.object({ table: z.string(), bounds: z.array(z.uuid()) }),
  chunk,
]);

/** What earlier runs of an export have written: it continues from there. */
export class ExportProgress {
  readonly #bounds = new Map<string, string[]>();
  readonly #chunks = new Map<string, Chunk>();

  private constructor(readonly folder: string) {}

  /**
   * Opens the folder, and creates it if it is missing.
   *
   * @throws {CommandError} if it belongs to another workspace.
   */
  static async open(folder: string, workspaceId: string): Promise<ExportProgress> {
    // What it holds is for no other user of the machine.
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    const progress = new ExportProgress(folder);
    const other = new CommandError(
      "The folder holds the export of another workspace. Give another one.",
    );
    if (await readText(join(folder, MANIFEST)) !== undefined) {
      const earlier = await readManifest(folder);
      if (earlier.workspace.id !== workspaceId) throw other;
      earlier.chunks.forEach((each) => progress.#add(each));
    }
    const lines = (await readText(join(folder, PROGRESS)) ?? "").split("\n").filter(Boolean);
    for (const line of lines) {
      // The last line may be cut off.
      const parsed = progressLine.safeParse(parseJson(line));
      if (!parsed.success) continue;
      if ("workspaceId" in parsed.data) {
        if (parsed.data.workspaceId !== workspaceId) throw other;
      } else if ("bounds" in parsed.data) {
        progress.#bounds.set(parsed.data.table, parsed.data.bounds);
      } else {
        progress.#add(parsed.data);
      }
    }
    if (lines.length === 0) await progress.#append({ workspaceId });
    return progress;
  }

  /** The bounds of a table's chunks, as an earlier run has chosen them. */
  boundsOf(table: string): string[] | undefined {
    return this.#bounds.get(table);
  }

  async setBounds(table: string, bounds: string[]): Promise<void> {
    this.#bounds.set(table, bounds);
    await this.#append({ table, bounds });
  }

  find(wanted: Pick<Chunk, "table" | "after" | "until">): Chunk | undefined {
    return this.#chunks.get(keyOf(wanted));
  }

  async add(done: Chunk): Promise<void> {
    this.#chunks.set(keyOf(done), done);
    await this.#append(done);
  }

  #add(done: Chunk): void {
    this.#chunks.set(keyOf(done), done);
    if (done.until === null) return;
    const bounds = this.#bounds.get(done.table) ?? [];
    this.#bounds.set(done.table, [...new Set([...bounds, done.until])]);
  }

  async #append(line: z.infer<typeof progressLine>): Promise<void> {
    // Begins with a line end, because the line before may be cut off.
    await Deno.writeTextFile(join(this.folder, PROGRESS), `\n${JSON.stringify(line)}`, {
      append: true,
      mode: 0o600,
    });
  }
}

function keyOf({ table, after, until }: Pick<Chunk, "table" | "after" | "until">): string {
  return `${table} ${after} ${until}`;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Appears under its name when it is complete. */
async function writeText(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${path}.part`, text, { mode: 0o600 });
  await Deno.rename(`${path}.part`, path);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
