import { assertEquals } from "@std/assert";
import { runAdvisors } from "../../cli/advisors.ts";
import { provideSupabase } from "../../cli/schema/databases.ts";
import { startScratchServer } from "../../local/postgres/scratch_server.ts";
import { sharedStack } from "../../local/spawn_stack.ts";
import { connect } from "../support/database.ts";

Deno.test("the advisors of the Supabase CLI find nothing", async () => {
  await using stack = await sharedStack();
  assertEquals(await runAdvisors(stack.info.db_url), []);
});

Deno.test("the advisors notice a function without a search path", async () => {
  await using server = await startScratchServer();
  const url = await provideSupabase(server);
  const sql = connect(url, { max: 1 });
  await sql`create function public.advised() returns int language sql as 'select 1'`;
  await sql.end();
  const findings = await runAdvisors(url);
  assertEquals(findings.map(({ name, metadata }) => `${name} ${metadata.name}`), [
    "function_search_path_mutable advised",
  ]);
});
