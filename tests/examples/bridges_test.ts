/**
 * The bridges of `examples/`: what they store, what a repeat adds, and what they do when the network fails.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { createBridge, type OwnBridge, rows, signUp, type User } from "../support/users.ts";
import { useDatabase } from "../support/database.ts";
import {
  busyAnswer,
  halfAnswer,
  isInstalled,
  runProgram,
  startNetwork,
} from "../support/example_programs.ts";

const EXAMPLES = fileURLToPath(new URL("../../examples/", import.meta.url));

interface Example {
  readonly name: string;
  readonly platform: "whatsapp" | "telegram";
  readonly command: readonly [string, ...string[]];
  readonly probe: readonly [string, ...string[]];
  readonly sample: string;
  /** What the sample holds. */
  readonly conversations: Record<string, [participant: string | null, ...messages: string[]]>;
  /** An event of a conversation, as a line. */
  event(conversation: number, id: number): string;
}

const BRIDGES: Example[] = [
  {
    name: "bridge-node",
    platform: "whatsapp",
    command: ["node", "bridge.mjs"],
    probe: ["node", "--eval", "if (parseInt(process.versions.node) < 20) process.exit(1)"],
    sample: "events.jsonl",
    conversations: {
      "1234567890@s.whatsapp.net": [
        "John of the shop",
        "inbound text Hi, do you deliver on Sundays?",
        "outbound text Yes, until 6 pm.",
      ],
      "6281234567890@s.whatsapp.net": ["Sari", "inbound image Is this one in stock?"],
      "120363000000000000@g.us": [null, "inbound text Hello everyone"],
    },
    event: (conversation, id) =>
      JSON.stringify({
        key: { remoteJid: `${conversation}@s.whatsapp.net`, fromMe: false, id: String(id) },
        messageTimestamp: 1769941800 + id,
        message: { conversation: `message ${id}` },
      }),
  },
  {
    name: "bridge-python",
    platform: "telegram",
    command: ["python3", "bridge.py"],
    probe: ["python3", "-c", "import sys; sys.exit(sys.version_info < (3, 9))"],
    sample: "updates.jsonl",
    conversations: {
      "5001": [
        "Jane",
        "inbound text Hi, is the blue one in stock?",
        "outbound text Yes, two are left.",
      ],
      "-100200300": ["Resellers", "inbound image Arrived today"],
    },
    event: (conversation, id) =>
      JSON.stringify({
        update_id: id,
        message: {
          message_id: id,
          date: 1769941800 + id,
          chat: { id: conversation, type: "private" },
          text: `message ${id}`,
        },
      }),
  },
];

const database = useDatabase();

for (const example of BRIDGES) {
  const ignore = !isInstalled(example.probe);
  const test = (name: string, fn: () => Promise<void>) =>
    Deno.test({ name: `${example.name}: ${name}`, ignore, fn });

  test("the sample is stored once, however often it is sent", async () => {
    const { user, bridge } = await start(example);
    const arguments_ = [example.sample];
    const added = Object.values(example.conversations).flatMap(([, ...messages]) =>
      messages
    ).length;
    for (const expected of [added, 0]) {
      const { code, stdout, stderr } = await run(
        example,
        database.info.api_url,
        bridge,
        arguments_,
      );
      assertEquals([code, stderr], [0, ""]);
      assertMatch(stdout, new RegExp(`conversations, ${expected} messages added\n$`));
    }
    assertEquals(await stored(user), example.conversations);
  });

  test("a busy server and bodies that are too large lose and double nothing", async () => {
    const { user, bridge } = await start(example);
    let posts = 0;
    await using network = startNetwork(database.info.api_url, (request, body) => {
      if (request.method === "GET") return undefined;
      posts++;
      if (posts === 1) return busyAnswer(503);
      if (posts === 2) return busyAnswer(429);
      const { conversations } = JSON.parse(body);
      if (conversations.length > 2) {
        return Response.json({ error: "Request body too large", code: "body_too_large" }, {
          status: 413,
        });
      }
      return undefined;
    });
    const lines = [1, 2, 3, 4, 5].flatMap((conversation) =>
      [1, 2].map((id) => example.event(conversation, id))
    );
    const begun = Date.now();
    const { code, stdout, stderr } = await run(example, network.url, bridge, [], lines.join("\n"));
    assertEquals(code, 0, stderr);
    const added = [...stdout.matchAll(/(\d+) messages added/g)].map(([, count]) => Number(count));
    assertEquals(added.reduce((sum, count) => sum + count, 0), 10, stdout);
    assertMatch(stderr, /^503: retry in .* s\n429: retry in .* s\n$/);
    assert(Date.now() - begun >= 2_000, "Retry-After was not respected");
    const statuses = network.requests.filter((request) => request.startsWith("POST"))
      .map((request) => request.split(" ").at(-1));
    assertEquals(statuses.slice(0, 3), ["503", "429", "413"]);
    const counts = Object.values(await stored(user)).map(([, ...messages]) => messages.length);
    assertEquals(counts, [2, 2, 2, 2, 2]);
  });

  test("an answer that was lost is followed by a repeat that adds nothing", async () => {
    const { user, bridge } = await start(example);
    let posts = 0;
    let first: Promise<Response> | undefined;
    await using network = startNetwork(database.info.api_url, (request, body) => {
      if (request.method === "GET" || ++posts > 1) return undefined;
      // The request arrives and is stored; half of its answer arrives.
      first = fetch(`${database.info.api_url}/functions/v1/messaging-ingest`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": bridge.api_key },
        body,
      });
      return halfAnswer();
    });
    const { code, stdout, stderr } = await run(
      example,
      network.url,
      bridge,
      [],
      example.event(1, 1),
    );
    await (await first!).body?.cancel();
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /1 conversations, [01] messages added\n$/);
    assertMatch(stderr, /^no answer: retry in .* s\n$/);
    assertEquals(Object.values(await stored(user)).map(([, ...messages]) => messages.length), [1]);
  });

  test("lines that are no events are reported and keep none from being sent", async () => {
    const { user, bridge } = await start(example);
    const lines = ["nonsense", "null", "", "{}", example.event(1, 1)];
    const { code, stdout, stderr } = await run(
      example,
      database.info.api_url,
      bridge,
      [],
      lines.join("\n"),
    );
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /1 conversations, 1 messages added\n$/);
    assertMatch(stderr, /^line 1 is not JSON: skipped\nan (event|update) was skipped: \w+\n$/);
    assertEquals(Object.keys(await stored(user)).length, 1);
  });

  test("a wrong key ends the bridge without a retry", async () => {
    const { bridge } = await start(example);
    const { code, stderr } = await run(
      example,
      database.info.api_url,
      { ...bridge, api_key: "msg_wrong" },
      [example.sample],
    );
    assertEquals([code, stderr], [1, "stopped: 401 invalid_api_key: Invalid API key\n"]);
  });
}

Deno.test({
  name: "bridge-python: it lists the contacts, also when there are more than a page",
  ignore: !isInstalled(BRIDGES[1]!.probe),
  async fn() {
    const { user, bridge } = await start(BRIDGES[1]!);
    const more = Array.from({ length: 1_100 }, (_, index) => ({
      workspace_id: user.workspaceId,
      name: `Contact ${index}`,
    }));
    await rows(user.client.from("people").insert(more).select("id"));
    const { code, stdout, stderr } = await run(BRIDGES[1]!, database.info.api_url, bridge, [
      "people",
    ]);
    assertEquals(code, 0, stderr);
    const ids = stdout.trim().split("\n").map((line) => JSON.parse(line).id);
    assertEquals(new Set(ids).size, 1_101);
  },
});

/** A workspace with a contact and a connection. */
async function start({ platform }: Example): Promise<{ user: User; bridge: OwnBridge }> {
  const user = await signUp(database.info);
  await rows(
    user.client.from("people").insert({
      workspace_id: user.workspaceId,
      name: "John of the shop",
      phone: "+1 (234) 567-890",
    }).select("id"),
  );
  return { user, bridge: await createBridge(user, platform) };
}

function run(
  { name, command }: Example,
  url: string,
  bridge: OwnBridge,
  args: readonly string[],
  stdin = "",
) {
  return runProgram([...command, ...args], {
    cwd: EXAMPLES + name,
    env: {
      SUPABASE_URL: url,
      MESSAGING_API_KEY: bridge.api_key,
      MESSAGING_CONNECTION_ID: bridge.connection_id,
    },
    stdin,
  });
}

/** The conversations of a workspace: the participant's name, and its messages. */
async function stored({ workspaceId }: User): Promise<Example["conversations"]> {
  const found = await database.sql<
    {
      external_conversation_id: string;
      participant_name: string | null;
      messages: { direction: string; type: string; content: string }[];
    }[]
  >`
    select thread.external_conversation_id, thread.participant_name, export.messages
    from public.conversations as thread
    join public.conversation_export as export on export.id = thread.id
    where thread.workspace_id = ${workspaceId}`;
  return Object.fromEntries(found.map((thread) => [
    thread.external_conversation_id,
    [
      thread.participant_name,
      ...thread.messages.map(({ direction, type, content }) => `${direction} ${type} ${content}`),
    ],
  ]));
}
