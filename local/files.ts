/**
 * Files and folders that may be missing.
 *
 * @module
 */

/** Reads a text file; undefined if there is none. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  return await undefinedIfMissing(Deno.readTextFile(path));
}

/** Removes a file or a folder with all it holds, if there is one. */
export async function removeIfPresent(path: string): Promise<void> {
  await undefinedIfMissing(Deno.remove(path, { recursive: true }));
}

/** Says whether there is a file or folder. */
export async function exists(path: string): Promise<boolean> {
  return await undefinedIfMissing(Deno.stat(path)) !== undefined;
}

async function undefinedIfMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
