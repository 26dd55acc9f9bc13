/**
 * Every check of the installation has a name and a purpose on the page Health.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { healthTexts } from "../../../app/src/health/texts.ts";
import { useDatabase } from "../../support/database.ts";

const database = useDatabase();

Deno.test("the page Health has texts for every check and every job", async () => {
  const checks = await database.sql<{ name: string }[]>`
    select name from public.installation_health
    union select 'job ' || name from private.scheduled_jobs`;
  assert(checks.length > 20);
  assertEquals(checks.map(({ name }) => name).filter((name) => !(name in healthTexts.checks)), []);
});
