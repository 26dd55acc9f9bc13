/**
 * The committed types are those of the database.
 *
 * @module
 */

import { assert } from "@std/assert";
import { DATABASE_TYPES_PATH, generateDatabaseTypes } from "../../cli/database_types.ts";
import { useDatabase } from "../support/database.ts";

const database = useDatabase();

Deno.test("database.types.ts is what the migrations generate", async () => {
  const committed = await Deno.readTextFile(DATABASE_TYPES_PATH);
  const generated = await generateDatabaseTypes(database.info.db_url);
  assert(
    committed === generated,
    "The types are not those of the migrations: run `deno task types`.",
  );
});
