/**
 * Builds the web app in `app/` with Vite. Builds are stored under the hash of their sources, so that the same
 * sources are built once for any number of stacks.
 *
 * @module
 */

import { join, relative } from "node:path";
import { CommandError } from "../cli/command_error.ts";
import { Lock } from "./lock.ts";

/** Where the app is, and where builds are kept. */
export interface AppBuildOptions {
  /** The folder of the sources. */
  readonly appDir: string;
  /** The folder that holds a folder for each build. */
  readonly buildsDir: string;
}

/** How many builds are kept; an older stack may still serve an earlier one. */
const KEPT_BUILDS = 3;
const NOT_SOURCES = new Set(["node_modules", "dist"]);

/**
 * Returns the folder of a build of the present sources, after building them if necessary.
 *
 * @throws {CommandError} when packages cannot be installed or the sources cannot be built.
 */
export async function buildApp(options: AppBuildOptions): Promise<string> {
  const { appDir, buildsDir } = options;
  await Deno.mkdir(buildsDir, { recursive: true });
  const build = join(buildsDir, await hashApp(appDir));
  if (await isFolder(build)) return build;
  return await Lock.hold(join(buildsDir, "build.lock"), async () => {
    // Another stack may have built it while this one waited.
    if (await isFolder(build)) return build;
    const unfinished = `${build}.unfinished`;
    await run(
      appDir,
      ["install", "--quiet", "--frozen"],
      "The packages of the app",
    );
    await run(
      appDir,
      [
        "run",
        "-A",
        "--quiet",
        "npm:vite",
        "build",
        "--outDir",
        unfinished,
        "--emptyOutDir",
      ],
      "The app",
    );
    await Deno.rename(unfinished, build);
    await removeOldBuilds(buildsDir);
    return build;
  });
}

/** Returns the name of a build: a hash of the sources. */
export async function hashApp(appDir: string): Promise<string> {
  const files = (await listFiles(appDir)).sort();
  const parts = await Promise.all(files.map(async (file) => {
    const digest = await crypto.subtle.digest(
      "SHA-256",
      await Deno.readFile(file),
    );
    return `${relative(appDir, file)}\n${new Uint8Array(digest).toHex()}\n`;
  }));
  const digest = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(parts.join("")),
  );
  return new Uint8Array(digest).toHex().slice(0, 16);
}

async function listFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory && !NOT_SOURCES.has(entry.name)) {
      files.push(...await listFiles(path));
    }
    if (entry.isFile) files.push(path);
  }
  return files;
}

async function run(
  appDir: string,
  args: string[],
  what: string,
): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: appDir,
    env: { NO_COLOR: "1", CI: "1" },
    stdin: "null",
    // Only the stack handles Ctrl-C.
    detached: true,
  }).output();
  if (success) return;
  const decoder = new TextDecoder();
  throw new CommandError(
    `${what} could not be ${args[0] === "install" ? "installed" : "built"}:\n` +
      `${decoder.decode(stdout)}${decoder.decode(stderr)}`.trim(),
  );
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  }
}

async function removeOldBuilds(buildsDir: string): Promise<void> {
  const builds: { path: string; madeAt: number }[] = [];
  for await (const entry of Deno.readDir(buildsDir)) {
    if (!entry.isDirectory) continue;
    const path = join(buildsDir, entry.name);
    builds.push({
      path,
      madeAt: (await Deno.stat(path)).mtime?.getTime() ?? 0,
    });
  }
  builds.sort((a, b) => b.madeAt - a.madeAt);
  for (const { path } of builds.slice(KEPT_BUILDS)) {
    await Deno.remove(path, { recursive: true });
  }
}
