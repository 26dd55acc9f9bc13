/**
 * `supabase/functions/.env.example` names the variables that the functions read, all of them and no others.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { globSync } from "node:fs";
import { parseEnv } from "node:util";

const FUNCTIONS = new URL("../supabase/functions/", import.meta.url).pathname;
const EXAMPLE = Deno.readTextFileSync(`${FUNCTIONS}.env.example`);
const NAME = "[A-Z]+(?:_[A-Z]+)+";

/** Variables read as `env.NAME`, or by a name in quotes. */
function variablesOfCode(): string[] {
  const files = globSync("**/*.ts", { cwd: FUNCTIONS, exclude: ["**/database.types.ts"] });
  const found = files.flatMap((file) => {
    const text = Deno.readTextFileSync(`${FUNCTIONS}${file}`)
      .replaceAll(/^\s*(?:\*|\/\/).*$/gm, "");
    return [...text.matchAll(new RegExp(`\\b(?:env|given)\\.(${NAME})\\b|"(${NAME})"`, "g"))]
      .map(([, property, quoted]) => property ?? quoted!);
  });
  return [...new Set(found)].sort();
}

Deno.test("the example names every variable that functions read", () => {
  const named = [...EXAMPLE.matchAll(new RegExp(`^# (${NAME})=`, "gm"))].map(([, name]) => name!);
  assertEquals(named.toSorted(), variablesOfCode());
});

Deno.test("the example explains each variable in the line above it", () => {
  const lines = EXAMPLE.split("\n");
  for (const [index, line] of lines.entries()) {
    if (!new RegExp(`^# ${NAME}=`).test(line)) continue;
    assertEquals(/^# [A-Z0-9].*\.$/.test(lines[index - 1]!), true, line);
  }
});

Deno.test("a copy of the example changes no setting", () => {
  assertEquals({ ...parseEnv(EXAMPLE) }, {});
});
