/**
 * `deno task types`: starts a throw-away database with all migrations and writes
 * `supabase/functions/_shared/database/database.types.ts`.
 *
 * @module
 */
import { startStack } from "../local/spawn_stack.ts";
import { DATABASE_TYPES_PATH, generateDatabaseTypes } from "./database_types.ts";

await using stack = await startStack();
await Deno.writeTextFile(DATABASE_TYPES_PATH, await generateDatabaseTypes(stack.info.db_url));
