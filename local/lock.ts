/**
 * Locks that the operating system gives back when their holder ends, however it ends.
 *
 * @module
 */

import { z } from "zod";
import { CommandError } from "../cli/command_error.ts";

const holderSchema = z.object({ pid: z.number(), api_url: z.string() });

/** Who holds a lock: which process, and where it answers. */
export type LockHolder = z.output<typeof holderSchema>;

/** A lock that is held, or who holds it instead. */
export type LockAttempt =
  | { readonly lock: Lock }
  | { readonly holder: LockHolder | undefined };

/** A file that is locked for this process. */
export class Lock {
  readonly #file: Deno.FsFile;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** Takes the lock if nobody has it. */
  static async tryTake(path: string): Promise<LockAttempt> {
    const file = await open(path);
    if (await file.tryLock(true)) return { lock: new Lock(file) };
    file.close();
    const holder = holderSchema.safeParse(parse(await Deno.readTextFile(path)));
    return { holder: holder.data };
  }

  /** Waits for the lock, and holds it while `work` is done. */
  static async hold<T>(path: string, work: () => Promise<T>): Promise<T> {
    using file = await open(path);
    await file.lock(true);
    return await work();
  }

  /** Writes down who holds the lock, for those who do not get it. */
  async sign(holder: LockHolder): Promise<void> {
    await this.#file.truncate();
    await this.#file.seek(0, Deno.SeekMode.Start);
    await this.#file.write(new TextEncoder().encode(JSON.stringify(holder)));
  }

  /** Gives the lock back. */
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
      `${path} cannot be written. Was this project started as another user before?`,
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
