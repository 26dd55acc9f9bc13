/**
 * Notices changed files of functions, so that `deno task dev` serves new code.
 *
 * @module
 */

import { dirname, join, relative, resolve, sep } from "node:path";
import type { Functions } from "./functions.ts";
import { logWarning } from "../log.ts";
import { type Project, readConfig } from "../project.ts";

/** An editor causes several events when it saves a file. */
const SETTLE_MS = 30;

/** Watches until it is closed. */
export function watchFunctions(project: Project, functions: Functions): { close(): void } {
  const configFile = join(project.supabaseDir, "config.toml");
  const importMaps = new Set(
    Object.values(project.config.functions).flatMap(({ import_map }) =>
      import_map === undefined ? [] : [resolve(project.supabaseDir, import_map)]
    ),
  );
  // Watches folders and not single files, because many editors replace a file when they save it. Of the folder
  // of an import map, only the folder itself: the data of the database can be below it.
  const watchers = [
    Deno.watchFs(project.supabaseDir),
    ...[...new Set([...importMaps].map((file) => dirname(file)))].map((folder) =>
      Deno.watchFs(folder, { recursive: false })
    ),
  ];
  let changed = new Set<string>();
  for (const watcher of watchers) {
    (async () => {
      for await (const { kind, paths } of watcher) {
        if (kind === "access") continue;
        if (changed.size === 0) {
          setTimeout(() => {
            const settled = changed;
            changed = new Set();
            handle(settled);
          }, SETTLE_MS);
        }
        for (const path of paths) changed.add(path);
      }
    })();
  }
  return { close: () => watchers.forEach((watcher) => watcher.close()) };

  async function handle(paths: Set<string>) {
    if (paths.has(configFile)) {
      try {
        functions.configure((await readConfig(configFile)).functions);
      } catch (error) {
        logWarning(String(error));
      }
      return;
    }
    const names = new Set<string | undefined>();
    for (const path of paths) {
      if (importMaps.has(path)) names.add(undefined);
      const inside = relative(project.functionsDir, path);
      if (inside === "" || inside.startsWith("..")) continue;
      const [folder = "", ...rest] = inside.split(sep);
      // Shared code and `.env` affect every function.
      names.add(rest.length === 0 || folder.startsWith("_") ? undefined : folder);
    }
    if (names.has(undefined)) return functions.restart();
    for (const name of names) functions.restart(name);
  }
}
