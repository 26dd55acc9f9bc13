/**
 * workflow-settings over HTTP, against a fake Kapso: saving, the history, and the sync in both directions.
 *
 * @module
 */

import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import type postgres from "postgres";
import type { StackInfo } from "../../../local/stack.ts";
import { connect } from "../../support/database.ts";
import { type FakeKapso, startFakeKapso } from "../../../fakes/kapso/fake_kapso.ts";
import type { JsonObject, Workflow } from "../../../fakes/kapso/state.ts";
import { type Stack, startStack } from "../../../local/spawn_stack.ts";
import { createPhoneNumber, uniquePhoneNumberId } from "../../support/kapso_webhook.ts";
import { type Answer, call, signUp, type User } from "../../support/users.ts";

let fake: FakeKapso;
let stack: Stack;
let info: StackInfo;
let sql: postgres.Sql;

Deno.test.beforeAll(async () => {
  fake = await startFakeKapso({ seed: 7, rateLimit: null });
  stack = await startStack({ env: { KAPSO_API_URL: fake.url, KAPSO_API_KEY: fake.apiKey } });
  info = stack.info;
  sql = connect(info.db_url, { max: 2 });
});
Deno.test.afterAll(async () => {
  await sql.end();
  await stack.stop();
  await fake.stop();
});

const GEMINI = "google/gemini-2.5-flash";
const modelId = (name: string) => fake.state.models.find((model) => model.name === name)!.id;

/** Nodes with types and fields that this project does not know. */
const STRANGE_NODES: JsonObject[] = [
  {
    id: "quantum_1",
    type: "flow-node",
    position: { x: 1.5, y: -3 },
    data: {
      node_type: "quantum_leap",
      config: { "2": "two", "1": "one", depth: { list: [null, true, 1e21, "é\u2028☀️"] } },
      display_name: "Leap",
    },
    later: { field: [] },
  },
  {
    id: "wait",
    type: "flow-node",
    position: { x: 0, y: 0 },
    data: { node_type: "wait_for_response", config: {} },
  },
];

function agentNode(config: JsonObject = {}, id = "agent_1"): JsonObject {
  return {
    id,
    type: "flow-node",
    position: { x: 0, y: 120 },
    data: {
      node_type: "agent",
      display_name: "Agent",
      config: {
        system_prompt: "You are a bot.",
        provider_model_id: modelId(GEMINI),
        provider_model_name: GEMINI,
        temperature: 0.2,
        max_iterations: 10,
        flow_agent_webhooks: [{ name: "lookup", url: "https://crm.example/lookup" }],
        ...config,
      },
    },
  };
}

function decideNode(config: JsonObject = {}): JsonObject {
  return {
    id: "decide_1",
    type: "flow-node",
    position: { x: 0, y: 240 },
    data: {
      node_type: "decide",
      display_name: "Decide",
      config: {
        decision_type: "ai",
        conditions: [
          { id: "c1", label: "price", description: "Asks for a price" },
          { id: "c2", label: "other", description: "Everything else" },
        ],
        ...config,
      },
    },
  };
}

/** An owner with a phone number of the fake's project, and a workflow there. */
interface World {
  user: User;
  token: string;
  userId: string;
  workflow: Workflow;
}

async function createWorld(
  nodes: JsonObject[] = [agentNode(), decideNode(), ...STRANGE_NODES],
  { hasKey = true } = {},
): Promise<World> {
  const user = await signUp(info);
  const phoneNumberId = uniquePhoneNumberId();
  fake.addPhoneNumber(phoneNumberId, "+5511300009999");
  const phoneNumber = await createPhoneNumber(user, phoneNumberId);
  const { data } = await user.client.auth.getSession();
  if (hasKey) {
    const { status, body } = await call(info, `inbox/connections/${phoneNumber.id}/kapso`, {
      method: "PUT",
      headers: {
        authorization: `Bearer ${data.session!.access_token}`,
        "content-type": "application/json",
      },
      body: JSON.stringify({ api_key: fake.apiKey }),
    });
    assertEquals(status, 200, JSON.stringify(body));
  }
  const workflow = fake.addWorkflow({
    name: "Sarah",
    status: "active",
    nodes: structuredClone(nodes),
    edges: [{ id: "e1", source: "agent_1", target: "decide_1", label: "next", type: "default" }],
  });
  return { user, token: data.session!.access_token, userId: data.session!.user.id, workflow };
}

/** Sends a request as the owner. */
function send(
  { user, token }: Pick<World, "user" | "token">,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  return call(info, `workflow-settings/${user.workspaceId}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** Saves a setting and returns it. */
// deno-lint-ignore no-explicit-any -- the setting of an answer
async function save(world: World, changes: Record<string, unknown>, type = "sarah"): Promise<any> {
  const { status, body } = await send(world, "PUT", `/${type}`, changes);
  assert(status < 300, JSON.stringify(body));
  return body.setting;
}

async function sync(world: World, options: Record<string, unknown> = {}) {
  const { status, body } = await send(world, "POST", "/sarah/sync", options);
  assertEquals(status, 200, JSON.stringify(body));
  return body;
}

async function check(world: World) {
  const { status, body } = await send(world, "POST", "/sarah/check", {});
  assertEquals(status, 200, JSON.stringify(body));
  return body;
}

/** A setting that is synced with Kapso. */
async function createSynced(nodes?: JsonObject[]) {
  const world = await createWorld(nodes);
  const setting = await save(world, {
    kapso_workflow_id: world.workflow.id,
    system_prompt: "You are Sarah.",
  });
  const seen = await check(world);
  const written = await sync(world, { overwrite: seen.fingerprint });
  assertEquals(written.outcome, "synced", JSON.stringify(written));
  return { world, setting: written.setting ?? setting };
}

// deno-lint-ignore no-explicit-any -- a config of the fake
function configOf(workflow: Workflow, id: string): any {
  return (workflow.nodes.find((node) => node.id === id)!.data as JsonObject).config;
}

/** Edits the workflow as in Kapso's dashboard. */
function edit(workflow: Workflow, id: string, changes: JsonObject): void {
  Object.assign(configOf(workflow, id), changes);
  workflow.lockVersion++;
}

Deno.test("a setting is created and changed, and the history says who and when", async () => {
  const world = await createWorld();
  const made = await save(world, {
    system_prompt: "You are Sarah.",
    keywords: [" price ", "promo"],
  });
  assertEquals(
    [made.version, made.system_prompt, made.keywords, made.sync_status, made.updated_by],
    [1, "You are Sarah.", ["price", "promo"], "pending", world.userId],
  );
  assertEquals("synced_values" in made, false);
  const changed = await save(world, { version: 1, temperature: 0.5, system_prompt: null });
  assertEquals([changed.version, changed.temperature, changed.system_prompt, changed.keywords], [
    2,
    0.5,
    null,
    ["price", "promo"],
  ]);
  // Saving the same values again is no change.
  assertEquals((await save(world, { version: 2, temperature: 0.5 })).version, 2);
  assertEquals((await send(world, "GET", "")).body.settings.length, 1);
  assertEquals((await send(world, "GET", "/sarah")).body.setting.version, 2);
  assertEquals((await send(world, "DELETE", "/sarah")).status, 204);
  assertEquals((await send(world, "GET", "/sarah")).body.code, "setting_not_found");
  const { body } = await send(world, "GET", "/sarah/history");
  assertEquals(
    body.history.map((entry: JsonObject) => [
      entry.action,
      entry.version,
      entry.changed_by,
      (entry.values as JsonObject).temperature,
    ]),
    [["deleted", 2, world.userId, 0.5], ["updated", 2, world.userId, 0.5], [
      "created",
      1,
      world.userId,
      null,
    ]],
  );
  const page = await send(world, "GET", `/sarah/history?max=1&before=${body.history[0].id}`);
  assertEquals(page.body.history.map(({ action }: JsonObject) => action), ["updated"]);
});

Deno.test("of two concurrent saves one is refused, and nothing is lost", async () => {
  const world = await createWorld();
  await save(world, { system_prompt: "one" });
  const answers = await Promise.all(
    ["two", "three"].map((system_prompt) =>
      send(world, "PUT", "/sarah", { version: 1, system_prompt })
    ),
  );
  assertEquals(answers.map(({ status }) => status).sort(), [200, 409]);
  const loser = answers.find(({ status }) => status === 409)!;
  assertEquals(loser.body.code, "version_conflict");
  const again = await send(world, "PUT", "/sarah", { system_prompt: "new" });
  assertEquals([again.status, again.body.code], [409, "version_conflict"]);
  const both = await Promise.all([1, 2].map(() => send(world, "PUT", "/brain", { max_tokens: 5 })));
  assertEquals(both.map(({ status }) => status).sort(), [201, 409]);
});

Deno.test("an invalid value is refused with a sentence", async (t) => {
  const world = await createWorld();
  const cases: [Record<string, unknown>, string][] = [
    [{ temperature: 2.1 }, "temperature must be from 0 to 2"],
    [{ temperature: "hot" }, "temperature must be a number or null"],
    [{ max_tokens: 0 }, "max_tokens must be a whole number from 1 to 200,000"],
    [{ max_tokens: 1.5 }, "max_tokens must be a whole number from 1 to 200,000"],
    [{ system_prompt: "x".repeat(100_001) }, "system_prompt must be at most 100,000 characters"],
    [{ system_prompt: "" }, "system_prompt must not be empty"],
    [{ system_prompt: "a\0b" }, "system_prompt must not contain a NUL character"],
    [{ keywords: ["a", "A"] }, "keywords must not have a word twice"],
    [{ keywords: ["a", " "] }, "keywords[1] must not be empty"],
    [{ keywords: Array.from({ length: 201 }, String) }, "keywords must be at most 200 words"],
    [
      { auto_reply_templates: { hi: "x".repeat(4097) } },
      "auto_reply_templates.hi must be at most 4,096 characters",
    ],
    [{ kapso_workflow_id: "../x" }, "kapso_workflow_id must be a workflow's id"],
    [{ kapso_mapping: { agents: [] } }, "kapso_mapping has an unknown field: agents"],
    [{ prompt: "x" }, "The body has an unknown field: prompt"],
    [{ connection_id: crypto.randomUUID() }, "connection_id is not a connection of this workspace"],
    [{ version: "1" }, "version must be the version that you have read"],
  ];
  for (const [body, sentence] of cases) {
    await t.step(sentence, async () => {
      const answer = await send(world, "PUT", "/sarah", body);
      assertEquals([answer.status, answer.body.code], [400, "invalid_request"]);
      assertStringIncludes(answer.body.message, sentence);
    });
  }
  await t.step("an invalid type", async () => {
    const answer = await send(world, "PUT", "/Sarah%20X", {});
    assertEquals([answer.status, answer.body.code], [400, "invalid_query"]);
  });
});

Deno.test("a dry run shows the difference and writes nothing; the first sync asks before it overwrites", async () => {
  const world = await createWorld();
  await save(world, {
    kapso_workflow_id: world.workflow.id,
    system_prompt: "You are Sarah.",
    ai_model: "grok-4.1-fast",
    temperature: 0.2,
    max_tokens: 800,
  });
  const before = structuredClone(world.workflow.nodes);
  const dry = await sync(world, { dry_run: true });
  assertEquals([dry.outcome, dry.reason, dry.is_dry_run], ["conflict", "changed_at_kapso", true]);
  assertEquals(
    dry.changes.map((change: JsonObject) => [
      change.field,
      change.settings,
      change.kapso,
      change.last_synced,
      change.is_conflict,
    ]),
    [
      ["ai_model", "grok-4.1-fast", GEMINI, null, true],
      ["system_prompt", "You are Sarah.", "You are a bot.", null, true],
      // Empty at Kapso, so no conflict.
      ["max_tokens", 800, null, null, false],
    ],
  );
  assertEquals(dry.kapso, {
    workflow_id: world.workflow.id,
    name: "Sarah",
    status: "active",
    lock_version: 0,
  });
  assertEquals(dry.setting.sync_status, "pending", "nothing is recorded");
  const refused = await sync(world);
  assertEquals([refused.outcome, refused.setting.sync_status], ["conflict", "conflict"]);
  assertEquals(world.workflow.nodes, before);

  const written = await sync(world, { overwrite: dry.fingerprint });
  assertEquals([written.outcome, written.changes, written.setting.sync_status], [
    "synced",
    [],
    "synced",
  ]);
  assert(written.setting.last_synced_at);
  assertEquals(configOf(world.workflow, "agent_1"), {
    ...configOf({ nodes: before } as Workflow, "agent_1"),
    system_prompt: "You are Sarah.",
    provider_model_id: modelId("x-ai/grok-4.1-fast"),
    provider_model_name: "x-ai/grok-4.1-fast",
    max_tokens: 800,
  });
  // From then on changes are synced without a question.
  await save(world, { version: 1, system_prompt: "You are Sarah, from Bandung." });
  assertEquals((await check(world)).outcome, "pending");
  assertEquals((await sync(world)).outcome, "synced");
  assertEquals(configOf(world.workflow, "agent_1").system_prompt, "You are Sarah, from Bandung.");
  const { body } = await send(world, "GET", "/sarah/history");
  assertEquals(
    body.history.map(({ action, sync_status }: JsonObject) => `${action} ${sync_status}`),
    ["synced synced", "updated pending", "synced synced", "synced conflict", "created pending"],
  );
});

Deno.test("everything else is sent back unchanged, unknown node types byte for byte", async () => {
  const { world: { workflow } } = await createSynced();
  const patch = workflow.nodes;
  assertEquals(patch.map(({ id }) => id), ["agent_1", "decide_1", "quantum_1", "wait"]);
  for (const node of [decideNode(), ...STRANGE_NODES]) {
    const after = patch.find(({ id }) => id === node.id);
    assertEquals(JSON.stringify(after), JSON.stringify(node));
  }
  const { system_prompt: prompt, ...rest } = configOf(workflow, "agent_1");
  assertEquals(prompt, "You are Sarah.");
  const { system_prompt: _, ...expected } = (agentNode().data as JsonObject).config as JsonObject;
  assertEquals(rest, expected);
  assertEquals(workflow.edges, [
    { id: "e1", source: "agent_1", target: "decide_1", label: "next", type: "default" },
  ]);
  assertEquals(workflow.lockVersion, 1);
});

Deno.test("drift is found, shown with both values, and never overwritten without consent", async () => {
  const { world, setting } = await createSynced();
  const { workflow } = world;
  edit(workflow, "agent_1", { system_prompt: "You are Sara." });
  const drift = await check(world);
  assertEquals([drift.outcome, drift.reason, drift.setting.sync_status], [
    "conflict",
    "changed_at_kapso",
    "conflict",
  ]);
  assertEquals(drift.changes, [{
    node_id: "agent_1",
    node_name: "Agent",
    field: "system_prompt",
    label: null,
    settings: "You are Sarah.",
    kapso: "You are Sara.",
    last_synced: "You are Sarah.",
    is_conflict: true,
  }]);
  assertEquals((await sync(world)).outcome, "conflict");
  assertEquals(configOf(workflow, "agent_1").system_prompt, "You are Sara.");

  // Kapso's values changed after they were shown: neither side may be taken over.
  edit(workflow, "agent_1", { system_prompt: "You are Zara." });
  const late = await sync(world, { overwrite: drift.fingerprint });
  assertEquals([late.outcome, late.changes[0].kapso], ["conflict", "You are Zara."]);
  const stale = await send(world, "POST", "/sarah/adopt", {
    fingerprint: drift.fingerprint,
    version: setting.version,
  });
  assertEquals([stale.status, stale.body.code], [409, "kapso_changed"]);

  const adopted = await send(world, "POST", "/sarah/adopt", {
    fingerprint: late.fingerprint,
    version: setting.version,
  });
  assertEquals(adopted.status, 200, JSON.stringify(adopted.body));
  assertEquals(
    [adopted.body.outcome, adopted.body.setting.system_prompt, adopted.body.setting.sync_status],
    ["synced", "You are Zara.", "synced"],
  );
  const { body } = await send(world, "GET", "/sarah/history");
  assertEquals(body.history.some(({ action }: JsonObject) => action === "adopted"), true);

  // Edits of other fields do not concern the setting.
  edit(workflow, "agent_1", { max_iterations: 3 });
  assertEquals((await check(world)).outcome, "synced");
});

Deno.test("an edit at Kapso between reading and writing is a conflict", async (t) => {
  // By the read of lock_version after which the edit happens: the third is the last read before the
  // write, so Kapso itself has to refuse.
  for (const [name, reads] of [["seen before the write", 2], ["refused by Kapso", 3]] as const) {
    await t.step(name, async () => {
      const { world } = await createSynced();
      const { workflow } = world;
      await save(world, { version: 1, system_prompt: "Mine." });
      editAfterReads(workflow, reads, () => {
        configOf(workflow, "agent_1").system_prompt = "Theirs.";
      });
      const { outcome, reason, changes, fingerprint } = await sync(world);
      assertEquals([outcome, reason], ["conflict", "changed_at_kapso"]);
      assertEquals(
        changes.map((change: JsonObject) => [change.settings, change.kapso, change.last_synced]),
        [["Mine.", "Theirs.", "You are Sarah."]],
      );
      assertEquals(configOf(workflow, "agent_1").system_prompt, "Theirs.");
      assertEquals((await sync(world, { overwrite: fingerprint })).outcome, "synced");
      assertEquals(configOf(workflow, "agent_1").system_prompt, "Mine.");
    });
  }
});

Deno.test("a write whose answer is lost is verified", async (t) => {
  for (const isDone of [true, false]) {
    await t.step(isDone ? "it was applied" : "it was not applied", async () => {
      const { world } = await createSynced();
      await save(world, { version: 1, system_prompt: "New." });
      fake.misbehaveOn(
        "PATCH",
        /\/workflows\//,
        isDone ? { kind: "cut", afterBytes: 0 } : { kind: "html", status: 502 },
      );
      const { outcome, reason } = await sync(world);
      assertEquals([outcome, reason], isDone ? ["synced", null] : ["error", "kapso_unavailable"]);
      // The next check agrees.
      assertEquals((await sync(world)).outcome, "synced");
      assertEquals(configOf(world.workflow, "agent_1").system_prompt, "New.");
    });
  }
});

Deno.test("a key that is revoked or lacks permission: manual steps, and the workflow to paste", async (t) => {
  for (const status of [401, 403] as const) {
    await t.step(String(status), async () => {
      const { world, setting } = await createSynced();
      await save(world, {
        version: setting.version,
        system_prompt: "By hand.",
        keywords: ["promo"],
      });
      fake.workflowRefusal = status;
      try {
        const answer = await sync(world);
        assertEquals([answer.outcome, answer.reason, answer.setting.sync_status], [
          "manual_setup_required",
          "kapso_key_refused",
          "manual_setup_required",
        ]);
        const { steps, workflow_json: workflow } = answer.manual;
        assertEquals(
          steps.map(({ number }: JsonObject) => number),
          steps.map((_: unknown, index: number) => index + 1),
        );
        assertStringIncludes(steps[0].text, world.workflow.id);
        assert(steps.some(({ value }: JsonObject) => value === "By hand."));
        assertStringIncludes(steps.at(-1).text, "I have updated Kapso");
        const agent = workflow.nodes.find((node: JsonObject) =>
          (node.data as JsonObject).node_type === "agent"
        );
        assertEquals(agent.data.config.system_prompt, "By hand.");
        // A check that cannot read Kapso keeps the confirmation.
        const version = answer.setting.version;
        const confirmed = await send(world, "POST", "/sarah/confirm", { version });
        assertEquals(confirmed.body.setting.sync_status, "synced");
        const looked = await check(world);
        assertEquals([looked.outcome, looked.setting.sync_status], [
          "manual_setup_required",
          "synced",
        ]);
      } finally {
        fake.workflowRefusal = null;
      }
      // The confirmation was wrong, which shows as soon as Kapso can be read.
      const looked = await check(world);
      assertEquals([looked.outcome, looked.setting.sync_status], ["conflict", "conflict"]);
    });
  }
});

Deno.test("the installation's key opens no workflows of a project with phone numbers of other workspaces", async () => {
  const world = await createWorld();
  const stranger = await createWorld(undefined, { hasKey: false });
  await save(stranger, { kapso_workflow_id: world.workflow.id, system_prompt: "Mine now." });
  const answer = await sync(stranger);
  assertEquals([answer.outcome, answer.reason], ["manual_setup_required", "no_kapso_key"]);
  const list = await send(stranger, "GET", "/kapso-workflows");
  assertEquals([list.status, list.body.code], [409, "kapso_unreadable"]);
  assertEquals(configOf(world.workflow, "agent_1").system_prompt, "You are a bot.");
  const mine = await send(world, "GET", "/kapso-workflows");
  assert(mine.body.workflows.some(({ id }: JsonObject) => id === world.workflow.id));
});

Deno.test("keywords are written to the mapped condition, and nowhere else", async () => {
  const world = await createWorld();
  await save(world, {
    kapso_workflow_id: world.workflow.id,
    keywords: ['say "price"', "promo"],
    kapso_mapping: { keyword_conditions: [{ node_id: "decide_1", label: "price" }] },
  });
  const { fingerprint, changes } = await sync(world);
  assertEquals([changes[0].field, changes[0].label, changes[0].kapso], [
    "keywords",
    "price",
    "Asks for a price",
  ]);
  assertEquals((await sync(world, { overwrite: fingerprint })).outcome, "synced");
  assertEquals(configOf(world.workflow, "decide_1").conditions, [
    {
      id: "c1",
      label: "price",
      description:
        'The message has one of these words or phrases, in any spelling: "say \\"price\\"", "promo"',
    },
    { id: "c2", label: "other", description: "Everything else" },
  ]);
  assertEquals(configOf(world.workflow, "agent_1").system_prompt, "You are a bot.");
  // Back again.
  edit(world.workflow, "decide_1", {
    conditions: [{
      label: "price",
      description: 'The message has one of these words or phrases, in any spelling: "sale"',
    }],
  });
  const drift = await check(world);
  const { body } = await send(world, "POST", "/sarah/adopt", {
    fingerprint: drift.fingerprint,
    version: 1,
  });
  assertEquals([body.outcome, body.setting.keywords], ["synced", ["sale"]]);
});

Deno.test("a workflow that does not fit is not changed", async (t) => {
  const prompt = { system_prompt: "New." };
  const keywords = {
    keywords: ["promo"],
    kapso_mapping: { keyword_conditions: [{ node_id: "decide_1", label: "price" }] },
  };
  const cases: [string, JsonObject[], Record<string, unknown>][] = [
    ["no_agent_node", [decideNode()], prompt],
    ["several_agent_nodes", [agentNode(), agentNode({}, "agent_2")], prompt],
    ["node_not_found", [agentNode()], { ...prompt, kapso_mapping: { agent_nodes: ["agent_9"] } }],
    ["not_an_agent_node", [agentNode(), decideNode()], {
      ...prompt,
      kapso_mapping: { agent_nodes: ["decide_1"] },
    }],
    ["field_does_not_fit", [agentNode({ system_prompt: { $ai: {} } })], prompt],
    ["not_a_decide_node", [agentNode({}, "decide_1")], keywords],
    ["not_decided_by_ai", [decideNode({ decision_type: "function" })], keywords],
    ["condition_not_found", [decideNode({ conditions: [{ label: "cost" }] })], keywords],
    ["condition_not_found", [decideNode({ conditions: "price" })], keywords],
    ["unknown_model", [agentNode()], { ai_model: "gpt-99" }],
    ["has_hidden_credentials", [
      agentNode({ flow_agent_resources: [{ auth_type: "pat", repo_url: "x" }] }),
    ], prompt],
    ["unreadable_definition", [{ id: "x" }], prompt],
  ];
  for (const [code, nodes, values] of cases) {
    await t.step(code, async () => {
      const world = await createWorld(nodes);
      await save(world, { kapso_workflow_id: world.workflow.id, ...values });
      const answer = await sync(world);
      assertEquals([answer.outcome, answer.reason], [
        "manual_setup_required",
        "workflow_does_not_fit",
      ]);
      assertEquals(answer.problems.map((problem: JsonObject) => problem.code), [code]);
      assertStringIncludes(answer.manual.steps[1].text, answer.problems[0].message);
      assertEquals(world.workflow.lockVersion, 0);
      assertEquals(world.workflow.nodes, nodes);
    });
  }
});

Deno.test("several agent nodes: only the mapped ones change", async () => {
  const world = await createWorld([
    agentNode(),
    agentNode({}, "agent_2"),
    agentNode({}, "agent_3"),
  ]);
  world.workflow.edges = [];
  await save(world, {
    kapso_workflow_id: world.workflow.id,
    system_prompt: "New.",
    kapso_mapping: { agent_nodes: ["agent_3", "agent_1"] },
  });
  const { fingerprint } = await sync(world);
  assertEquals((await sync(world, { overwrite: fingerprint })).outcome, "synced");
  assertEquals(
    ["agent_1", "agent_2", "agent_3"].map((id) => configOf(world.workflow, id).system_prompt),
    ["New.", "You are a bot.", "New."],
  );
});

Deno.test("without a workflow, and with one that does not exist", async () => {
  const world = await createWorld();
  await save(world, {
    system_prompt: "You are Sarah.",
    keywords: ["price"],
    auto_reply_templates: { keywords: "See the card." },
  });
  const none = await sync(world);
  assertEquals([none.outcome, none.reason], ["manual_setup_required", "no_workflow"]);
  const { body } = await send(world, "GET", "/sarah/manual");
  assertEquals(
    body.manual.workflow_json.nodes.map(({ data }: JsonObject) => (data as JsonObject).node_type),
    ["start", "decide", "agent", "send_text"],
  );
  await save(world, { version: 1, kapso_workflow_id: crypto.randomUUID() });
  const gone = await sync(world);
  assertEquals([gone.outcome, gone.reason, gone.setting.sync_status], [
    "error",
    "workflow_not_found",
    "error",
  ]);
});

Deno.test("a workflow that was deleted at Kapso is an error at the next check", async () => {
  const { world } = await createSynced();
  fake.state.workflows.delete(world.workflow.id);
  const gone = await check(world);
  assertEquals([gone.outcome, gone.reason], ["error", "workflow_not_found"]);
  assertEquals([gone.setting.sync_status, gone.setting.sync_reason], [
    "error",
    "workflow_not_found",
  ]);
  // It is restored unchanged.
  fake.state.workflows.set(world.workflow.id, world.workflow);
  assertEquals((await check(world)).setting.sync_status, "synced");
});

Deno.test("a sync writes the version that the caller has read", async () => {
  const { world } = await createSynced();
  await save(world, { version: 1, system_prompt: "Mine." });
  const seen = await sync(world, { dry_run: true, version: 2 });
  assertEquals(seen.outcome, "pending");
  await save(world, { version: 2, system_prompt: "The other admin's." });
  const { status, body } = await send(world, "POST", "/sarah/sync", { version: 2 });
  assertEquals([status, body.code], [409, "version_conflict"]);
  assertEquals(configOf(world.workflow, "agent_1").system_prompt, "You are Sarah.");
  assertEquals((await sync(world, { version: 3 })).outcome, "synced");
});

Deno.test("values that change right after a sync are a conflict, and not a refusal", async () => {
  const { world } = await createSynced();
  await save(world, { version: 1, system_prompt: "Mine." });
  // The fifth read of the version is Kapso's own, after the write.
  editAfterReads(world.workflow, 5, () => {
    configOf(world.workflow, "agent_1").system_prompt = "Theirs, a moment later.";
  });
  const { outcome, message } = await sync(world);
  assertEquals(outcome, "conflict");
  assertStringIncludes(message, "Kapso accepted the values but has others now");
});

Deno.test("no edit is lost where Kapso does not enforce lock_version", async () => {
  const { world } = await createSynced();
  await save(world, { version: 1, system_prompt: "Mine." });
  fake.checksLockVersion = false;
  try {
    editAfterReads(world.workflow, 2, () => {
      configOf(world.workflow, "agent_1").system_prompt = "Theirs.";
    });
    assertEquals((await sync(world)).outcome, "conflict");
    assertEquals(configOf(world.workflow, "agent_1").system_prompt, "Theirs.");
  } finally {
    fake.checksLockVersion = true;
  }
});

Deno.test("owners and admins may use the settings of their workspace, and others may not", async () => {
  const world = await createWorld();
  const other = await createWorld();
  await save(world, { system_prompt: "Secret." });
  const paths: [string, string, unknown?][] = [
    ["GET", ""],
    ["GET", "/sarah"],
    ["PUT", "/sarah", { version: 1, system_prompt: "x" }],
    ["DELETE", "/sarah"],
    ["GET", "/sarah/history"],
    ["POST", "/sarah/sync", {}],
    ["POST", "/sarah/check", {}],
    ["POST", "/sarah/adopt", { version: 1, fingerprint: "0".repeat(32) }],
    ["GET", "/sarah/manual"],
    ["POST", "/sarah/confirm", { version: 1 }],
    ["GET", "/kapso-workflows"],
  ];
  const asOther = { user: world.user, token: other.token };
  for (const [method, path, body] of paths) {
    const answer = await send(asOther, method, path, body);
    assertEquals([answer.status, answer.body.code], [404, "workspace_not_found"], path);
    const unsigned = await call(info, `workflow-settings/${world.user.workspaceId}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    assertEquals(unsigned.status, 401, path);
  }
  await sql`
    insert into public.workspace_members (workspace_id, user_id, role)
    values (${world.user.workspaceId}, ${other.userId}, 'agent')`;
  for (const [method, path, body] of paths) {
    const answer = await send(asOther, method, path, body);
    assertEquals([answer.status, answer.body.code], [403, "role_too_low"], path);
  }
  await sql`
    update public.workspace_members set role = 'admin'
    where workspace_id = ${world.user.workspaceId} and user_id = ${other.userId}`;
  assertEquals((await send(asOther, "GET", "/sarah")).status, 200);
  assertNotEquals((await send(asOther, "GET", "/sarah")).body.setting.system_prompt, "x");
});

/** Edits a workflow right after the given number of reads of its lock_version. */
function editAfterReads(workflow: Workflow, reads: number, change: () => void): void {
  let version = workflow.lockVersion;
  let count = 0;
  Object.defineProperty(workflow, "lockVersion", {
    configurable: true,
    get() {
      if (++count === reads) {
        queueMicrotask(() => {
          version++;
          change();
        });
      }
      return version;
    },
    set(value: number) {
      version = value;
    },
  });
}
