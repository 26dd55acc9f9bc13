/**
 * `deno task bench:bundles`: prints the minified size of each function and of the app, beside those of
 * another checkout if one is given.
 *
 * @module
 */

import { cp } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { print, runCommand } from "../cli/command.ts";
import { CommandError } from "../cli/command_error.ts";
import { readArguments } from "../cli/options.ts";
import { buildApp } from "../local/app_build.ts";

const HELP = `Prints the minified sizes of the functions and of the app, in bytes.

Usage: deno task bench:bundles [options]

  --base <folder>  another checkout to compare with
  --help           print this help
`;

/** The files of a checkout that affect the sizes. */
const SOURCES = ["supabase/functions", "app", "import_map.json", "deno.json", "deno.lock"];

/** Measures a checkout on a copy, so that the build writes nothing into it. */
async function measure(checkout: string): Promise<Map<string, number>> {
  const folder = await Deno.makeTempDir({ prefix: "bundles-" });
  try {
    for (const path of SOURCES) {
      await cp(join(checkout, path), join(folder, path), {
        recursive: true,
        filter: (file) => !["node_modules", "dist"].includes(basename(file)),
      });
    }
    const sizes = new Map<string, number>();
    const functions = join(folder, "supabase/functions");
    for (const { name, isDirectory } of [...Deno.readDirSync(functions)].sort(byName)) {
      if (!isDirectory || name.startsWith("_")) continue;
      sizes.set(name, await bundleSize(folder, join(functions, name, "index.ts")));
    }
    await measureApp(folder, sizes);
    return sizes;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function bundleSize(folder: string, entrypoint: string): Promise<number> {
  const output = join(folder, "bundle.js");
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--minify", "--platform", "deno", "--output", output, entrypoint],
    cwd: folder,
  }).output();
  if (!success) throw new CommandError(new TextDecoder().decode(stderr));
  return (await Deno.stat(output)).size;
}

/** Adds the sizes of the app: all files, those that the first page loads, and those compressed. */
async function measureApp(folder: string, sizes: Map<string, number>): Promise<void> {
  const build = await buildApp({ appDir: join(folder, "app"), buildsDir: join(folder, "builds") });
  const assets = join(build, "assets");
  const page = await Deno.readTextFile(join(build, "index.html"));
  let all = 0;
  let first = 0;
  let compressed = 0;
  for (const { name } of Deno.readDirSync(assets)) {
    if (!/\.(?:js|css)$/.test(name)) continue;
    const bytes = await Deno.readFile(join(assets, name));
    all += bytes.length;
    if (!page.includes(name)) continue;
    first += bytes.length;
    const gzip = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
    compressed += (await new Response(gzip).arrayBuffer()).byteLength;
  }
  sizes.set("app: scripts and styles", all);
  sizes.set("app: loaded by the first page", first);
  sizes.set("app: the same, gzip", compressed);
}

function byName(one: Deno.DirEntry, other: Deno.DirEntry): number {
  return one.name < other.name ? -1 : 1;
}

function formatSizes(sizes: Map<string, number>, base: Map<string, number> | undefined): string {
  const rows = [...sizes].map(([name, size]) => {
    const before = base?.get(name);
    return [
      name,
      size.toLocaleString("en"),
      ...(before === undefined
        ? []
        : [before.toLocaleString("en"), `${((size / before - 1) * 100).toFixed(1)} %`]),
    ];
  });
  rows.unshift(["bytes, minified", "here", ...(base === undefined ? [] : ["base", "change"])]);
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0))
  );
  return rows.map((row) =>
    row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)
    ).join("  ")
  ).join("\n");
}

await runCommand("deno task bench:bundles", async (args) => {
  const { values } = readArguments({
    args,
    options: { base: { type: "string" }, help: { type: "boolean", short: "h" } },
  });
  if (values.help) {
    print(HELP);
    return 0;
  }
  const sizes = await measure(resolve(import.meta.dirname!, ".."));
  const base = values.base === undefined ? undefined : await measure(resolve(values.base));
  print(`${formatSizes(sizes, base)}\n`);
  return 0;
});
