/**
 * Locks that the operating system releases when their holder ends, for any reason.
 *
 * @module
 */

import * as z from "zod";
import { CommandError } from "../cli/command_error.ts";

const holderSchema = z.object({ pid: z.number(), api_url: z.string() });

/** The holder of a lock: its process and its address. */
export type LockHolder = z.output<typeof holderSchema>;

/** A lock that was taken, or the other holder. */
export type LockAttempt =
  | { readonly lock: Lock }
  | { readonly holder: LockHolder | undefined };

/** A file that this process has locked. */
export class Lock {
  readonly #file: Deno.FsFile;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** Takes the lock if it is free. */
  static async tryTake(path: string): Promise<LockAttempt> {
    const file = await open(path);
    if (await file.tryLock(true)) return { lock: new Lock(file) };
    file.close();
    const holder = holderSchema.safeParse(parse(await Deno.readTextFile(path)));
    return { holder: holder.data };
  }

  /** Waits for the lock, and holds it during `work`. */
  static async hold<T>(path: string, work: () => Promise<T>): Promise<T> {
    using file = await open(path);
    await file.lock(true);
    return await work();
  }

  /** Writes the holder into the file, for processes that do not get the lock. */
  async sign(holder: LockHolder): Promise<void> {
    await this.#file.truncate();
    await this.#file.seek(0, Deno.SeekMode.Start);
    await this.#file.write(new TextEncoder().encode(JSON.stringify(holder)));
  }

  /** Releases the lock. */
  release(): void {
    this.#file.close();
  }
}

async function open(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path, { read: true, write: true, create: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new CommandError(
      `Cannot write ${path}. Check whether another user has started this project before.`,
    );
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
