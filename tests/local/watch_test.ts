/**
 * `deno task dev`: a function whose files have changed runs with its new code.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { eventually } from "../support/eventually.ts";
import { call, ScratchProject, text } from "../support/scratch_project.ts";

Deno.test("with --watch the next request after a change gets the new code", async () => {
  await using project = await ScratchProject.create({
    changing: `import { word } from "../_shared/word.ts"; Deno.serve(() => new Response(word));`,
    mortal: `const since = crypto.randomUUID(); Deno.serve(() => new Response(since));`,
  });
  await project.write("supabase/functions/_shared/word.ts", `export const word = "one";`);
  await using stack = await project.start({ watch: true });
  const answer = async (name: string) => await text(await call(stack, name));
  // A request that a restart cuts off is answered with 502; the next one is what counts.
  const next = async (name: string) => {
    const response = await call(stack, name);
    if (response.status !== 502) return await text(response);
    await response.body?.cancel();
  };
  assertEquals(await answer("changing"), "one");
  const since = await answer("mortal");

  await project.writeFunction("changing", `Deno.serve(() => new Response("two"));`);
  await eventually("its own file counts", async () => await next("changing") === "two");
  assertEquals(await answer("mortal"), since, "other functions keep running");

  await project.writeFunction(
    "changing",
    `import { word } from "../_shared/word.ts"; Deno.serve(() => new Response(word + word));`,
  );
  await eventually("it is back", async () => await next("changing") === "oneone");
  await project.write("supabase/functions/_shared/word.ts", `export const word = "three";`);
  await eventually("shared code counts", async () => await next("changing") === "threethree");

  const before = await answer("mortal");
  await project.write("import_map.json", `{"imports":{"word":"data:text/javascript,"}}`);
  await eventually("the import map counts", async () => {
    const now = await next("mortal");
    return now !== undefined && now !== before;
  });

  await project.write(
    "supabase/config.toml",
    await Deno.readTextFile(`${project.root}/supabase/config.toml`) +
      "[functions.other]\nverify_jwt = false\n",
  );
  await project.writeFunction("other", `Deno.serve(() => new Response("other"));`);
  await eventually("new settings count", async () => {
    const response = await call(stack, "other");
    await response.body?.cancel();
    return response.ok;
  });
});
