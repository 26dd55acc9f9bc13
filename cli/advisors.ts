/**
 * `deno task advisors`: the security and performance advisors of the Supabase CLI, on a throw-away
 * database with all migrations. Ends with code 1 when they find something.
 *
 * @module
 */
import { startStack } from "../local/spawn_stack.ts";
import { runAdvisors } from "./run_advisors.ts";

await using stack = await startStack();
const { code, output } = await runAdvisors(stack.info.db_url);
await Deno.stdout.write(new TextEncoder().encode(output));
Deno.exitCode = code;
