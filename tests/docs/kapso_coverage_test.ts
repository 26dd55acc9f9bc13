/**
 * The tables of events and message types in docs/api/kapso-webhook.md, and the fixtures.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { EVENTS } from "../../supabase/functions/_shared/kapso/webhook/normalize.ts";
import { coverage, MESSAGE_TYPES, readFixtures } from "../fixtures/kapso/coverage.ts";

const PAGE = await Deno.readTextFile(
  new URL("../../docs/api/kapso-webhook.md", import.meta.url),
);

Deno.test("kapso-webhook.md names every event and message type of the fixtures, with their samples", async () => {
  const fixtures = await readFixtures();
  const covered = new Map(coverage(fixtures).map((row) => [row.name, row.fixtures]));
  const named = [...EVENTS, ...MESSAGE_TYPES].toSorted();
  const rows = tableRows();
  assertEquals(
    rows.filter(({ name }) => name !== "any other").map(({ name }) => name).toSorted(),
    named,
  );
  for (const { name, samples } of rows) {
    assert(samples.length > 0, `${name} has no sample`);
    const known = name === "any other"
      ? fixtures.map((fixture) => fixture.name)
      : covered.get(name);
    for (const sample of samples) {
      assert(known?.includes(sample), `${sample} does not show ${name}`);
    }
  }
  const shown = new Set(rows.flatMap(({ samples }) => samples));
  const missing = fixtures.map(({ name }) => name)
    .filter((name) => /^(?:event|type)_/.test(name) && !shown.has(name));
  assertEquals(missing, []);
});

/** Rows whose last cell names fixtures. */
function tableRows(): { name: string; samples: string[] }[] {
  return [...PAGE.matchAll(/^\| (any other|`[a-z._]+`) \| [^|]* \| ([^|]*) \|$/gm)]
    .map(([, name, cell]) => ({
      name: name!.replaceAll("`", ""),
      samples: [...cell!.matchAll(/`((?:event|type|case)_\w+)`/g)].map(([, sample]) => sample!),
    }));
}
