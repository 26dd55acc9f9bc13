/**
 * `deno task search:rebuild` on a stack.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { startStack } from "../../../local/spawn_stack.ts";
import { connect } from "../../support/database.ts";
import { conversation, ingest, messages } from "../../support/messages.ts";
import { createConnection, createWorkspace, type Workspace } from "../../support/people.ts";

// Of its own: the command indexes what other tests look at.
const stack = await startStack();
const sql = connect(stack.info.db_url);
Deno.test.afterAll(async () => {
  await sql.end();
  await stack.stop();
});

/** Runs the command, and returns its exit code and what it prints. */
async function rebuild(...args: string[]): Promise<[number, string, string]> {
  const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "cli/search/main.ts", ...args],
    env: { SUPABASE_URL: stack.info.api_url, SUPABASE_SECRET_KEY: stack.info.secret_key },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return [code, text(stdout), text(stderr)];
}

async function fill(): Promise<Workspace> {
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace);
  await ingest(sql, connection, [
    conversation({ messages: messages(130) }),
    conversation({ messages: messages(3) }),
  ]);
  return workspace;
}

/** Messages in the blocks of a workspace, and rows of the queue. */
async function counts(workspace: Workspace): Promise<[number, number]> {
  const [found] = await sql<{ indexed: number; queued: number }[]>`
    select
      (
        select coalesce(sum(cardinality(sent_ats)), 0)::integer from private.message_blocks
        where workspace_id = ${workspace.id}
      ) as indexed,
      (
        select count(*)::integer from private.message_index_queue where workspace_id = ${workspace.id}
      ) as queued`;
  return [found!.indexed, found!.queued];
}

Deno.test("the index of a workspace, and of all, is made from the messages", async () => {
  const [workspace, other] = [await fill(), await fill()];
  assertEquals(await rebuild(workspace.slug), [
    0,
    "133 messages of 1 workspace are indexed.\n",
    "",
  ]);
  assertEquals(await counts(workspace), [133, 0]);
  assertEquals((await counts(other))[0], 0);
  // What was lost comes back, and what was there is not there twice.
  await sql`
    delete from private.message_blocks where id in (
      select id from private.message_blocks where workspace_id = ${workspace.id} limit 2
    )`;
  await rebuild(workspace.id);
  assertEquals(await counts(workspace), [133, 0]);

  await sql`
    update public.workspaces set has_message_search = false where id = ${other.id}`;
  assertEquals(
    await rebuild(other.id),
    [
      0,
      "0 messages of 0 workspaces are indexed. In 1 the search in messages is switched off.\n",
      "",
    ],
  );
  const [code, output] = await rebuild();
  assertEquals(code, 0);
  assertMatch(output, /^\d+ messages of \d+ workspaces? are indexed\. In \d+ the search/);
  assertEquals(await counts(workspace), [133, 0]);
});

Deno.test("wrong arguments are explained", async () => {
  const [code, , error] = await rebuild("no-such-workspace");
  assertEquals(code, 2);
  assertMatch(error, /There is no such workspace/);
  assertEquals((await rebuild("a", "b"))[0], 2);
  assertMatch((await rebuild("--help"))[1], /search:rebuild/);
});
