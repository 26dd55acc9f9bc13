/**
 * The examples of docs/api: what the pages show is what lies in docs/api/examples, and it runs with the
 * commands the pages give.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { basename, join } from "node:path";

import { DEMO, DEMO_CONNECTIONS } from "../../local/demo.ts";
import { useDatabase } from "../support/database.ts";
import { unique } from "../support/people.ts";
import { type Bridge, createBridge, rows, signUp } from "../support/users.ts";

const ROOT = join(import.meta.dirname!, "../..");
const DOCS = join(ROOT, "docs/api");
const pages = [...Deno.readDirSync(DOCS)]
  .filter((entry) => entry.name.endsWith(".md"))
  .map((entry) => Deno.readTextFileSync(join(DOCS, entry.name)));
const files = [...Deno.readDirSync(join(DOCS, "examples"))].map((entry) => entry.name).sort();
const commands = pages
  .flatMap((page) => [...page.matchAll(/^ {4}((?:bash|node|deno|python3) .*)$/gm)])
  .map(([, command]) => command!);

const database = useDatabase();
Deno.test.beforeAll(async () => {
  await database.sql`
    delete from public.conversations where external_conversation_id like 'example\\_%'`;
});

Deno.test("the pages show every example as it is, and how to run it", async () => {
  const shown = pages
    .flatMap((page) => [...page.matchAll(/^```(?:bash|javascript|python)\n(.*?)^```$/gms)])
    .map(([, code]) => code!);
  const written = await Promise.all(
    files.map((name) => Deno.readTextFile(join(DOCS, "examples", name))),
  );
  assertEquals(shown.toSorted(), written.toSorted());
  assertEquals([...new Set(commands.map((command) => basename(command)))].sort(), files);
});

Deno.test("the JSON of the pages is JSON", () => {
  const blocks = pages.flatMap((page) => [...page.matchAll(/^```json\n(.*?)^```$/gms)]);
  assert(blocks.length > 0);
  for (const [, text] of blocks) JSON.parse(text!);
});

for (const command of commands) {
  Deno.test({
    name: `${command} works, and outlives a server that is busy`,
    ignore: !isInstalled(command),
    async fn() {
      await using server = busyServer(database.info.api_url);
      const output = await run(command, server.url, DEMO_CONNECTIONS.whatsapp);
      if (command.includes("conversation_sync")) {
        // An agent does not wait for a busy server; the next turn is kept.
        assertMatch(output, /Perfecto/);
        return assertMatch(await run(command, server.url, DEMO_CONNECTIONS.whatsapp), /\(demo\)/);
      }
      const [name] = /example_\w+/.exec(output) ?? [];
      if (name === undefined) return assertMatch(output, /"name":"John Doe"|^\d+ people/);
      const [row] = await database.sql<{ message_count: number; person_name: string | null }[]>`
        select message_count, person_name from public.conversation_list
        where external_conversation_id = ${name}`;
      assert(row!.message_count >= 1);
      assert(row!.person_name !== null);
    },
  });
}

Deno.test("the example reads all people, also when a thousand were added at once", async () => {
  const user = await signUp(database.info);
  const people = Array.from({ length: 1200 }, () => ({
    workspace_id: user.workspaceId,
    name: unique(),
  }));
  await rows(user.client.from("people").insert(people).select("id"));
  const command = commands.find((each) => /^deno .*people\.mjs/.test(each))!;
  const output = await run(command, database.info.api_url, await createBridge(user));
  assertMatch(output, /^1200 people/);
});

/** Runs a command as it is shown, in this folder, and returns what it printed. */
async function run(command: string, url: string, bridge: Bridge): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: ["-c", command],
    cwd: ROOT,
    env: {
      SUPABASE_URL: url,
      MESSAGING_API_KEY: bridge.api_key,
      MESSAGING_CONNECTION_ID: bridge.connection_id,
      CONVERSATION_API_KEY: DEMO.agent_key,
      PATH: `${join(Deno.execPath(), "..")}:${Deno.env.get("PATH")}`,
    },
    stdin: "null",
  }).output();
  const said = new TextDecoder().decode(stdout);
  assertEquals(code, 0, said + new TextDecoder().decode(stderr));
  return said;
}

/** The stack, behind something that answers the first POST with 503. */
function busyServer(target: string): AsyncDisposable & { url: string } {
  let isBusy = true;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    if (isBusy && request.method === "POST") {
      isBusy = false;
      return Response.json({ error: "busy" }, { status: 503, headers: { "retry-after": "0" } });
    }
    const { pathname, search } = new URL(request.url);
    return fetch(target + pathname + search, {
      method: request.method,
      headers: request.headers,
      body: request.body,
    });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Whether what a command needs is here. Where it is not, the test is ignored, and says so. */
function isInstalled(command: string): boolean {
  const [program] = command.split(" ");
  if (program === "deno") return true;
  const probe = program === "bash"
    ? ["curl", "--version"]
    : command.includes("requests")
    ? ["python3", "-c", "import requests"]
    : [program!, "--version"];
  try {
    return new Deno.Command(probe[0]!, { args: probe.slice(1), stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}
