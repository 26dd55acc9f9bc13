/**
 * The decision records in docs/adr: their numbers, their format and their index.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { join } from "node:path";

const ROOT = join(import.meta.dirname!, "../..");

Deno.test("the decision records are numbered without gaps, in one format, and listed with their status", async () => {
  const folder = join(ROOT, "docs/adr");
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => /^\d/.test(name)).sort();
  const index = await Deno.readTextFile(join(folder, "README.md"));
  const faults: string[] = [];
  for (const [position, name] of names.entries()) {
    const number = String(position + 1).padStart(4, "0");
    if (!name.startsWith(`${number}-`)) faults.push(`${name} should have number ${number}`);
    const text = await Deno.readTextFile(join(folder, name));
    const [, title, status] =
      /^# \d{4}\. (.+)\n\n- Status: (.+)\n- Date: \d{4}-\d\d-\d\d\n\n## Context\n[^]+\n## Decision\n[^]+\n## Consequences\n/
        .exec(text) ?? [];
    if (title === undefined) faults.push(`${name} does not have the format of template.md`);
    else if (!text.startsWith(`# ${number}. `)) {
      faults.push(`the title of ${name} has no ${number}`);
    } else if (!index.includes(`| [${number}](${name}) | ${title} | ${status} |`)) {
      faults.push(`README.md lacks | [${number}](${name}) | ${title} | ${status} |`);
    }
  }
  assertEquals(faults, []);
});
