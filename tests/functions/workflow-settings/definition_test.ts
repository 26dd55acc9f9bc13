/**
 * Definitions of workflows as text: everything that is not edited keeps every byte, up to the request to
 * Kapso.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { createKapsoClient } from "../../../supabase/functions/_shared/kapso/api/client.ts";
import {
  editDefinition,
  readGraph,
} from "../../../supabase/functions/workflow-settings/definition.ts";
import type { Setting } from "../../../supabase/functions/workflow-settings/setting.ts";
import { syncSetting } from "../../../supabase/functions/workflow-settings/sync.ts";

/** Numbers, escapes, spaces and orders that parsing and printing would lose. */
const DEFINITION = `{ "nodes" : [
  {"id":"start","position":{"x":1.0,"y":-0},"data":{"node_type":"start","config":{}}},
  {"id":"agent_1","position":{"x":1e2,"y":0},"data":{"node_type":"agent","config":{"max_iterations":10,"system_prompt":"Caf\\u00e9 \\/ one","temperature":0.70}}},
  {"id":"odd","data":{"node_type":"from_2031","config":{"10":1,"2":2,"big":12345678901234567890,"tiny":1.0E-7,"text":"\\ud83d\\ude00"}}, "z":1, "a":2}
], "edges":[ {"source":"start","target":"agent_1"} ] , "later":[1.50]}`;
const ANSWER = `{"data":{"id":"w","lock_version":7,"definition":${DEFINITION},"name":"W"}}`;

function setting(values: Partial<Setting>): Setting {
  return {
    workspace_id: "00000000-0000-4000-8000-000000000001",
    kapso_workflow_id: "w",
    connection_id: null,
    ai_model: null,
    system_prompt: null,
    temperature: null,
    max_tokens: null,
    keywords: [],
    auto_reply_templates: {},
    kapso_mapping: { agent_nodes: [], keyword_conditions: [] },
    synced_values: {},
    ...values,
  } as Setting;
}

Deno.test("editDefinition() changes the given values and no other byte", () => {
  const graph = readGraph(ANSWER)!;
  const agent = graph.nodes.find(({ id }) => id === "agent_1")!;
  assertEquals(
    editDefinition(graph, [{
      path: [...agent.configPath, "system_prompt"],
      value: 'New "one"\\n☀️',
    }]),
    DEFINITION.replace('"Caf\\u00e9 \\/ one"', JSON.stringify('New "one"\\n☀️')),
  );
  assertEquals(editDefinition(graph, []), DEFINITION);
  // A new field.
  const added = editDefinition(graph, [{ path: [...agent.configPath, "max_tokens"], value: 5 }]);
  assertEquals(added.replace(/,\s*"max_tokens":\s*5/, ""), DEFINITION);
});

Deno.test("editDefinition() applies many edits at once, including new fields", () => {
  const graph = readGraph(ANSWER)!;
  const [start, agent] = graph.nodes as [typeof graph.nodes[0], typeof graph.nodes[0]];
  const edited = editDefinition(graph, [
    { path: [...agent.configPath, "max_tokens"], value: 5 },
    { path: [...agent.configPath, "temperature"], value: 0.5 },
    { path: [...start.configPath, "one"], value: "1" },
    { path: [...agent.configPath, "system_prompt"], value: "Two" },
    { path: [...start.configPath, "two"], value: null },
  ]);
  const nodes = JSON.parse(edited).nodes;
  assertEquals(nodes[0].data.config, { one: "1", two: null });
  assertEquals(nodes[1].data.config, {
    max_iterations: 10,
    system_prompt: "Two",
    temperature: 0.5,
    max_tokens: 5,
  });
  // The text around them keeps its bytes.
  assertEquals(
    edited.slice(edited.indexOf('{"id":"odd"')),
    DEFINITION.slice(DEFINITION.indexOf('{"id":"odd"')),
  );
});

Deno.test("the bytes reach Kapso unchanged, with the lock_version that was read", async () => {
  const sent: string[] = [];
  let answer = ANSWER;
  const kapso = createKapsoClient({
    apiKey: "k",
    fetch: (input, init) => {
      if (init?.method === "PATCH") {
        sent.push(String(init.body));
        answer = ANSWER.replace('"Caf\\u00e9 \\/ one"', '"Two"');
        return Promise.resolve(new Response("{}"));
      }
      const isDefinition = String(input).endsWith("/definition");
      return Promise.resolve(
        new Response(isDefinition ? answer : '{"data":{"id":"w","lock_version":7}}'),
      );
    },
  });
  const finding = await syncSetting(
    () => Promise.resolve({ kapso }),
    setting({ system_prompt: "Two", synced_values: { agent_1: { system_prompt: "Café / one" } } }),
    { isDryRun: false, overwrite: undefined },
  );
  assertEquals(finding.outcome, "synced");
  assertEquals(sent, [
    `{"workflow":{"lock_version":7,"definition":${
      DEFINITION.replace('"Caf\\u00e9 \\/ one"', '"Two"')
    }}}`,
  ]);
});

Deno.test("readGraph() takes a graph with or without its envelope, and nothing else", () => {
  for (const text of [ANSWER, `{"definition":${DEFINITION}}`]) {
    assertEquals(readGraph(text)!.nodes.map(({ id, type }) => `${id} ${type}`), [
      "start start",
      "agent_1 agent",
      "odd from_2031",
    ]);
  }
  for (
    const text of [
      "",
      "<html>",
      "null",
      "[]",
      '{"data":{}}',
      '{"data":{"definition":{"nodes":{},"edges":[]}}}',
      '{"data":{"definition":{"nodes":[]}}}',
      '{"data":{"definition":{"nodes":[{"id":"a"}],"edges":[]}}}',
      '{"definition":{"nodes":[{"id":"a","data":{"node_type":"agent"}},{"id":"a","data":{"node_type":"agent"}}],"edges":[]}}',
    ]
  ) {
    assertEquals(readGraph(text), undefined, text);
  }
});

Deno.test("a node named like a property of every object does no harm", async () => {
  const text =
    `{"definition":{"nodes":[{"id":"__proto__","data":{"node_type":"agent","config":{"system_prompt":"old"}}}],"edges":[]}}`;
  const kapso = createKapsoClient({
    apiKey: "k",
    fetch: () => Promise.resolve(new Response(text)),
  });
  const finding = await syncSetting(
    () => Promise.resolve({ kapso }),
    setting({ system_prompt: "new" }),
    { isDryRun: true, overwrite: undefined },
  );
  assertEquals([finding.outcome, finding.changes.length], ["conflict", 1]);
  assertEquals(({} as Record<string, unknown>).system_prompt, undefined);
});
