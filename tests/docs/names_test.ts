/**
 * The names in the documentation: files, SQL functions and tasks that the pages mention exist.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { trackedFiles } from "../support/tracked_files.ts";

const ROOT = join(import.meta.dirname!, "../..");
const files = await trackedFiles();
const pages = new Map(
  await Promise.all(
    files.filter((file) => file === "README.md" || /^docs\/.*\.md$/.test(file))
      .map(async (file) => [file, await Deno.readTextFile(join(ROOT, file))] as const),
  ),
);

Deno.test("every source file that a page names exists", () => {
  const faults: string[] = [];
  for (const [page, text] of pages) {
    for (const name of code(text)) {
      // A path, or the last part of one; `<name>` and `NN_…` stand for several.
      if (!/^[\w./-]+\.(?:ts|tsx|sql|toml|css)$/.test(name) || /NN|NNNN/.test(name)) continue;
      if (!files.some((file) => file === name || file.endsWith(`/${name}`))) {
        faults.push(`${page}: ${name}`);
      }
    }
  }
  assertEquals(faults, []);
});

Deno.test("every SQL object that a page names is in the schema files", async () => {
  const schema = (await Promise.all(
    files.filter((file) => /^supabase\/schemas\/.*\.sql$/.test(file))
      .map((file) => Deno.readTextFile(join(ROOT, file))),
  )).join("\n");
  const faults: string[] = [];
  for (const [page, text] of pages) {
    for (const name of code(text)) {
      const [, object] = /^((?:private|public)\.\w+)(?:\(.*\))?$/.exec(name) ?? [];
      if (object !== undefined && !new RegExp(`\\b${object.replace(".", "\\.")}\\b`).test(schema)) {
        faults.push(`${page}: ${name}`);
      }
    }
  }
  assertEquals(faults, []);
});

Deno.test("docs/tasks.md lists every task, and no page names another", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
  const names = Object.keys(tasks).sort();
  const listed = [...pages.get("docs/tasks.md")!.matchAll(/^\| `([\w:]+)` \|/gm)]
    .map(([, name]) => name!).sort();
  assertEquals(listed, names);
  const faults = [...pages].flatMap(([page, text]) =>
    [...text.matchAll(/deno task ([\w:]+)/g)]
      // `deno task build` is a task of the app.
      .filter(([, name]) => !names.includes(name!) && name !== "build")
      .map(([, name]) => `${page}: deno task ${name}`)
  );
  assertEquals(faults, []);
});

Deno.test("every message of the troubleshooting table is one that the command prints", async () => {
  const sources = (await Promise.all(
    files.filter((file) => /^cli\/(?:kapso\/.*|project)\.ts$/.test(file))
      .map((file) => Deno.readTextFile(join(ROOT, file))),
  )).join("\n");
  const page = pages.get("docs/cli/kapso-sync.md")!;
  const table = page.slice(page.indexOf("| message |"), page.indexOf("## Safety"));
  const messages = [...table.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, cell]) => code(cell!));
  assert(messages.length > 10);
  // What follows a colon is Kapso's own text.
  const faults = messages.filter((message) => !sources.includes(message.split(":")[0]!));
  assertEquals(faults, []);
});

/** The texts in backticks. */
function code(text: string): string[] {
  return [...text.replaceAll(/^```.*?^```$/gms, "").matchAll(/`([^`\n]+)`/g)].map(([, name]) =>
    name!
  );
}
