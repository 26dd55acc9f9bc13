/**
 * SQL refuses by raising SQLSTATE `PT<status>` with a code as message. `_shared/database/refusals.ts` knows
 * every code with the same status.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { REFUSALS } from "../../supabase/functions/_shared/database/refusals.ts";

const SCHEMAS = new URL("../../supabase/schemas/", import.meta.url);

/** Statuses by code, in all schema files. */
async function raisedCodes(): Promise<Map<string, Set<number>>> {
  const raised = new Map<string, Set<number>>();
  const add = (code: string, status: number) =>
    raised.set(code, (raised.get(code) ?? new Set()).add(status));
  for await (const { name } of Deno.readDir(SCHEMAS)) {
    const source = await Deno.readTextFile(new URL(name, SCHEMAS));
    for (const [, message, status] of source.matchAll(REFUSAL)) {
      // The body of require_role: its callers name the code.
      if (message !== "%") add(message!, Number(status));
    }
    for (const [, code] of source.matchAll(/require_role\([^;]*?'(\w+)'\s*\)/g)) add(code!, 404);
  }
  return raised;
}

const REFUSAL = /raise exception '([^']*)'(?:, [\w.]+)?\s+using errcode = 'PT(\d{3})'/g;

Deno.test("every code that SQL raises is in refusals.ts with its status", async () => {
  const raised = await raisedCodes();
  assert(raised.size > 30, `found ${raised.size} codes only`);
  const known = new Map<string, number>(
    Object.entries(REFUSALS).map(([code, { status }]) => [code, status]),
  );
  const wrong = [...raised].filter(([code, statuses]) =>
    statuses.size !== 1 || !statuses.has(known.get(code)!)
  );
  assertEquals(wrong, []);
});

Deno.test("every refusal of the schema files has the form of the protocol", async () => {
  for await (const { name } of Deno.readDir(SCHEMAS)) {
    const source = await Deno.readTextFile(new URL(name, SCHEMAS));
    assertEquals(
      source.match(/'PT\d{3}'/g)?.length ?? 0,
      source.match(REFUSAL)?.length ?? 0,
      `${name} raises PT… in another form`,
    );
  }
});
