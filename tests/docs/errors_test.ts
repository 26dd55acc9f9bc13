/**
 * docs/errors.md and the functions name the same codes.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { join, relative } from "node:path";
import { REFUSALS } from "../../supabase/functions/_shared/database/refusals.ts";

const ROOT = join(import.meta.dirname!, "../..");
const FUNCTIONS = join(ROOT, "supabase/functions");

// A code of zod's, and codes of KapsoError, which functions translate: no caller sees them.
const NOT_OURS = ["aborted", "custom", "cursor_repeated", "redirect_refused", "unreadable_answer"];

Deno.test("docs/errors.md lists every error code of the functions, with its status", async () => {
  const documented = documentedCodes(await Deno.readTextFile(join(ROOT, "docs/errors.md")));
  const faults: string[] = [];
  const used = new Set<string>();
  const found = [...await Array.fromAsync(usedCodes(FUNCTIONS)), ...refusals()];
  for (const { code, status, file } of found) {
    used.add(code);
    const statuses = documented.get(code);
    if (!statuses) faults.push(`${code} (${file}) is not in docs/errors.md`);
    else if (status !== undefined && !statuses.includes(status)) {
      faults.push(`${code} is ${status} in ${file} and ${statuses} in docs/errors.md`);
    }
  }
  for (const code of documented.keys()) {
    if (!used.has(code)) faults.push(`${code} is in docs/errors.md, and nothing uses it`);
  }
  assertEquals(faults, []);
});

/** The codes of the tables: `| \`code\` | 400 | …`. */
function documentedCodes(text: string): Map<string, string[]> {
  return new Map(
    [...text.matchAll(/^\| `([a-z][a-z0-9_]*)` \| ([^|]*?) \|/gm)]
      .map(([, code, statuses]) => [code!, statuses!.match(/\d{3}/g) ?? []]),
  );
}

/** A code in the functions. */
interface UsedCode {
  code: string;
  /** HTTP status; undefined where the source does not say it beside the code. */
  status: string | undefined;
  file: string;
}

/** Codes that SQL functions raise. */
function refusals(): UsedCode[] {
  return Object.entries(REFUSALS).map(([code, { status }]) => ({
    code,
    status: String(status),
    file: "_shared/database/refusals.ts",
  }));
}

async function* usedCodes(folder: string): AsyncGenerator<UsedCode> {
  for await (const entry of Deno.readDir(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) yield* usedCodes(path);
    if (!entry.name.endsWith(".ts") || entry.name === "database.types.ts") continue;
    const file = relative(ROOT, path);
    const source = await Deno.readTextFile(path);
    for (const [, status, code] of source.matchAll(/new AppError\(\s*(\d{3}),\s*"(\w+)"/g)) {
      yield { code: code!, status, file };
    }
    // `code: "a"`, `code: condition ? "a" : "b"`, and options such as `queryErrorCode: "a"`.
    for (
      const [, one, other] of source.matchAll(
        /(?:(?:\bcode|ErrorCode): (?:[^",\n]+ \? )?|errorResult\([\w.]+, )"([a-z]\w*)"(?: : "([a-z]\w*)")?/g,
      )
    ) {
      for (const code of [one!, ...other === undefined ? [] : [other]]) {
        if (!NOT_OURS.includes(code)) yield { code, status: undefined, file };
      }
    }
  }
}
