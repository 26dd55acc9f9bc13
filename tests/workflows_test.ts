/**
 * The workflows run fixed versions of actions, with as few rights as possible, and tasks that exist.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import project from "../deno.json" with { type: "json" };

const FOLDER = new URL("../.github/workflows/", import.meta.url);
const workflows = [...Deno.readDirSync(FOLDER)].map(({ name }) => ({
  name,
  text: Deno.readTextFileSync(new URL(name, FOLDER)),
}));

Deno.test("every action is pinned by commit, and its version is in a comment", () => {
  const uses = workflows.flatMap(({ text }) => [...text.matchAll(/\buses: (.*)$/gm)]);
  assert(uses.length > 0);
  for (const [, action] of uses) {
    assertMatch(action!, /^(?:\.\/\S+|[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$/);
  }
});

Deno.test("a workflow may only read, unless a job says otherwise", () => {
  for (const { name, text } of workflows) {
    assertMatch(text, /^permissions:\n {2}contents: read\n\n/m, name);
  }
  const more = workflows.flatMap(({ name, text }) =>
    [...text.matchAll(/^ +(\S+: write)$/gm)].map(([, right]) => `${name} ${right}`)
  );
  assertEquals(more, ["release.yml contents: write", "release.yml id-token: write"]);
});

Deno.test("the tasks that workflows run exist", () => {
  const tasks = workflows.flatMap(({ text }) => [...text.matchAll(/\.ci\/deno task (\S+)/g)]);
  for (const [, task] of tasks) assert(task! in project.tasks, task);
});
