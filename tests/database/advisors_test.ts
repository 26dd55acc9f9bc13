import { assertEquals, assertStringIncludes } from "@std/assert";
import { runAdvisors } from "../../cli/advisors.ts";
import { sharedStack } from "../../local/spawn_stack.ts";

Deno.test("the advisors of the Supabase CLI find nothing", async () => {
  await using stack = await sharedStack();
  const { code, output } = await runAdvisors(stack.info.db_url);
  assertStringIncludes(output, "No issues found");
  assertEquals(code, 0);
});
