/**
 * `examples/agent-langgraph`: its client with any Python, and the agent where LangGraph is installed
 * (`PYTHON` names the interpreter; `python3` by default).
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { useDatabase } from "../support/database.ts";
import { uniqueNumber } from "../support/people.ts";
import {
  busyAnswer,
  halfAnswer,
  isInstalled,
  runProgram,
  startNetwork,
} from "../support/example_programs.ts";

const FOLDER = fileURLToPath(new URL("../../examples/agent-langgraph/", import.meta.url));
const python = Deno.env.get("PYTHON") ?? "python3";
const hasPython = isInstalled([python, "-c", "import sys; sys.exit(sys.version_info < (3, 9))"]);
const hasLangGraph = hasPython && isInstalled([python, "-c", "import langgraph.graph"]);
if (!hasLangGraph) {
  // deno-lint-ignore no-console
  console.warn(
    "LangGraph is not installed for Python: examples/agent-langgraph/agent.py is NOT tested",
  );
}

const database = useDatabase();

/** Python that calls the client; it prints JSON. */
const CLIENT_TURN = `
import json, os, sys
from conversation_sync import ConversationSync
phone = sys.argv[1]
sync = ConversationSync(os.environ["SUPABASE_URL"], os.environ["CONVERSATION_API_KEY"])
business = sync.lookup_business("100000000000123")
print(json.dumps(business and business["subDomain"]))
print(json.dumps(sync.lookup_tenant(phone)))
session = sync.open_session(phone, "demo", {"phoneNumberId": "100000000000123"})
id = session["sessionId"] if session else "none"
for _ in range(2):
    sync.add_message(id, "user", "Hello", "wamid." + phone)
state = sync.sync(id, "order", "cart", {"selectedItems": [{"id": "pizza"}]})
print(json.dumps(state and [state["currentIntent"], state["currentStep"], len(state["context"]["previousMessages"])]))
orders = sync.link_order(id, "demo", "o1")
print(json.dumps(orders and orders["orderHistory"]))
tenant = sync.lookup_tenant(phone)
print(json.dumps(tenant and tenant["sessionId"] == id))
state = sync.reset(id, "demo")
print(json.dumps(state and [state["currentIntent"], "selectedItems" in state["context"]]))
`;
const CLIENT_RESULTS = [
  '"demo"',
  "null",
  '["order", "cart", 1]',
  '["o1"]',
  "true",
  '["idle", false]',
];

Deno.test({
  name: "the client of the agent keeps a session, and a message with an id is in the thread once",
  ignore: !hasPython,
  async fn() {
    const phone = uniqueNumber();
    const { code, stdout, stderr } = await runClient(database.info.api_url, phone);
    assertEquals([code, stderr, stdout.trim().split("\n")], [0, "", CLIENT_RESULTS]);
    assertEquals(await messagesOf(phone), ["inbound Hello"]);
  },
});

Deno.test({
  name: "the client of the agent repeats what is safe to repeat",
  ignore: !hasPython,
  async fn() {
    const failed = new Set<string>();
    await using network = startNetwork(database.info.api_url, (request) => {
      const call = `${request.method} ${new URL(request.url).pathname.split("/").at(-1)}`;
      if (failed.has(call)) return undefined;
      failed.add(call);
      return call.startsWith("GET") ? halfAnswer() : busyAnswer(503);
    });
    const { code, stdout, stderr } = await runClient(network.url, uniqueNumber());
    // The reset is not repeated: it could empty what was written in the meantime.
    assertEquals([code, stderr], [0, "conversation sync error: POST 503\n"]);
    assertEquals(stdout.trim().split("\n"), [...CLIENT_RESULTS.slice(0, -1), "null"]);
  },
});

Deno.test({
  name:
    "the client of the agent raises nothing during any failure of the API, and logs nothing personal",
  ignore: !hasPython,
  async fn() {
    for (
      const answer of [
        () => Response.json({ type: "3", code: "invalid_agent_key" }, { status: 401 }),
        () => new Response("<html>", { headers: { "content-type": "text/html" } }),
      ]
    ) {
      await using network = startNetwork(database.info.api_url, answer);
      const phone = uniqueNumber();
      const { code, stdout, stderr } = await runClient(network.url, phone);
      assertEquals([code, stdout], [0, "null\n".repeat(6)]);
      assertMatch(stderr, /^(conversation sync error: (GET|POST|PUT) \w+\n){9}$/);
      assertEquals(stderr.includes(phone.slice(1)), false);
    }
  },
});

Deno.test({
  name: "the agent takes an order, remembers it, hands over, and stays silent until it is resumed",
  ignore: !hasLangGraph,
  async fn() {
    const phone = uniqueNumber();
    const say = async (text: string, ...id: string[]) => {
      const { code, stdout, stderr } = await runAgent(database.info.api_url, [phone, text, ...id]);
      assertEquals([code, stderr], [0, ""]);
      return stdout.trim();
    };
    const first = `wamid.${phone}`;
    const greeting = "We have pizza (15.5), salad (8), lemonade (3). What would you like?";
    assertEquals(await say("Hello!", first), greeting);
    assertEquals(
      await say("A pizza and a lemonade, please"),
      "Added pizza and lemonade. That makes 18.5 so far. Shall I order it?",
    );
    assertEquals(await say("Yes, please", `${first}.yes`), "Ordered for 18.5. Thank you!");
    assertEquals(
      await say("I have a complaint"),
      "I'll get a colleague. One moment, please.",
    );
    assertEquals(await say("Hello?"), "(a person has taken over)");
    const resumed = await runAgent(database.info.api_url, ["--resume", phone]);
    assertEquals([resumed.code, resumed.stdout], [0, "The agent answers again.\n"]);
    assertEquals(await say("Hello?"), greeting);

    const [session] = await database.sql<{ intent: string; order_history: string[] }[]>`
      select current_intent as intent, order_history from public.agent_sessions
      where participant_key = ${phone.slice(1)}`;
    assertEquals({ ...session }, { intent: "idle", order_history: [`order_${first}.yes`] });
    // Answers are in the thread once the sender of the business has given their ids.
    assertEquals(await messagesOf(phone), [
      "inbound Hello!",
      "inbound A pizza and a lemonade, please",
      "inbound Yes, please",
      "inbound I have a complaint",
      "inbound Hello?",
      "inbound Hello?",
    ]);
  },
});

Deno.test({
  name: "the agent answers without the API, and with the history by a model",
  ignore: !hasLangGraph,
  async fn() {
    await using outage = startNetwork(
      database.info.api_url,
      () => new Response(null, { status: 401 }),
    );
    const { code, stdout } = await runAgent(outage.url, [uniqueNumber(), "A salad"]);
    assertEquals([code, stdout], [0, "Added salad. That makes 8 so far. Shall I order it?\n"]);

    let asked: { model: string; messages: { role: string; content: string }[] } | undefined;
    await using model = startNetwork("", (_, body) => {
      asked = JSON.parse(body);
      return Response.json({ choices: [{ message: { content: "Good evening!" } }] });
    });
    const phone = uniqueNumber();
    const env = { AI_BASE_URL: model.url, AI_MODEL: "any" };
    for (const text of ["Hi", "Are you open?"]) {
      const said = await runAgent(database.info.api_url, [phone, text], env);
      assertEquals([said.code, said.stdout], [0, "Good evening!\n"]);
    }
    assertEquals(asked!.messages.map(({ role }) => role), ["system", "user", "assistant", "user"]);
    assertEquals(asked!.messages.at(-1)!.content, "Are you open?");
  },
});

function runClient(url: string, phone: string) {
  return runProgram([python, "-c", CLIENT_TURN, phone], { cwd: FOLDER, env: environment(url) });
}

function runAgent(url: string, args: readonly string[], env: Record<string, string> = {}) {
  return runProgram([python, "agent.py", ...args], {
    cwd: FOLDER,
    env: { ...environment(url), ...env },
  });
}

function environment(url: string): Record<string, string> {
  return {
    SUPABASE_URL: url,
    CONVERSATION_API_KEY: database.info.demo.agent_key,
    WHATSAPP_PHONE_NUMBER_ID: database.info.demo.kapso_phone_number_id,
  };
}

/** Direction and text of what the customer's thread holds. */
async function messagesOf(phone: string): Promise<string[]> {
  const [thread] = await database.sql<{ messages: { direction: string; content: string }[] }[]>`
    select export.messages
    from public.conversations as thread
    join public.conversation_export as export on export.id = thread.id
    where thread.external_conversation_id = ${`${database.info.demo.kapso_phone_number_id}:${
    phone.slice(1)
  }`}`;
  return thread?.messages.map(({ direction, content }) => `${direction} ${content}`) ?? [];
}
