/**
 * No password or key is among the arguments of a process, which every user of the machine can read.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { runAdvisors } from "../../cli/advisors.ts";
import { call, ScratchProject, text } from "../support/scratch_project.ts";

Deno.test({
  name: "no secret is in the list of processes, from the first start to a request",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using project = await ScratchProject.create({
      echo: `Deno.serve(() => new Response("here"));`,
    });
    const seen = watchProcesses();
    {
      // The first start creates the database, and runs the Supabase CLI.
      await using stack = await project.start();
      assertEquals(await text(await call(stack, "echo")), "here");
      await runAdvisors(stack.info.db_url);
    }
    const commands = await seen.stop();
    for (const program of ["initdb", "/bin/postgres", "push", "advisors", "functions/echo"]) {
      assert(commands.some((command) => command.includes(program)), `${program} was seen`);
    }
    const secrets: string[] = Object.values(
      JSON.parse(await project.read(".local/secrets.json")),
    );
    assert(secrets.length > 4);
    const telling = commands.filter((command) => secrets.some((each) => command.includes(each)));
    assertEquals(telling.map((command) => command.split(" ", 1)[0]), []);
  },
});

/** Collects the command lines of all processes of the machine until it is stopped. */
function watchProcesses(): { stop(): Promise<string[]> } {
  const commands = new Set<string>();
  let isStopped = false;
  const watching = (async () => {
    while (!isStopped) {
      for await (const { name } of Deno.readDir("/proc")) {
        if (!/^[0-9]+$/.test(name)) continue;
        // A process may end while it is looked at.
        const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
        commands.add(line.replaceAll("\0", " "));
      }
    }
  })();
  return {
    async stop() {
      isStopped = true;
      await watching;
      return [...commands];
    },
  };
}
