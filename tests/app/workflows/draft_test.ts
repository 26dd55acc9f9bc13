/**
 * What of a workflow's form is saved, and where two texts differ.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { differenceOf, type Part } from "../../../app/src/workflows/difference.ts";
import { changesOf, doubleName, type Draft, draftOf } from "../../../app/src/workflows/draft.ts";
import type { WorkflowSetting } from "../../../app/src/api/rows.ts";

const SETTING: WorkflowSetting = {
  id: "1",
  workspace_id: "2",
  workflow_type: "sarah",
  version: 3,
  ai_model: "google/gemini-2.5-flash",
  system_prompt: " You are Sarah.\n",
  temperature: 0,
  max_tokens: null,
  keywords: ["price"],
  auto_reply_templates: { price: "On the card." },
  connection_id: null,
  kapso_workflow_id: "w1",
  kapso_workflow_name: null,
  kapso_mapping: { agent_nodes: [], keyword_conditions: [] },
  sync_status: "synced",
  sync_reason: null,
  last_synced_at: null,
  last_checked_at: null,
  updated_at: "2026-02-01T10:29:00.000Z",
  updated_by: null,
};

function changed(fields: Partial<Draft>, setting: WorkflowSetting | undefined = SETTING) {
  return changesOf({ ...draftOf(setting), ...fields }, setting);
}

Deno.test("an untouched field is not saved, and an emptied one is", () => {
  assertEquals(changed({}), {});
  assertEquals(changesOf(draftOf(undefined), undefined), {});
  assertEquals(changed({ ai_model: " " }), { ai_model: null });
  assertEquals(changed({ system_prompt: "" }), { system_prompt: null });
  assertEquals(changed({ system_prompt: " You are Sarah." }), { system_prompt: " You are Sarah." });
  assertEquals(changed({ temperature: "" }), { temperature: null });
  assertEquals(changed({ keywords: [] }), { keywords: [] });
});

Deno.test("numbers are read as people write them, and nonsense goes to the server as it is", () => {
  assertEquals(changed({ temperature: "0,7" }), { temperature: 0.7 });
  assertEquals(changed({ temperature: "0.0" }), {});
  assertEquals(changed({ max_tokens: " 1024 " }), { max_tokens: 1024 });
  assertEquals(changed({ max_tokens: "many" }) as unknown, { max_tokens: "many" });
});

Deno.test("empty rows are dropped, and two answers with one name are reported", () => {
  const reply = { name: "price", text: "On the card." };
  assertEquals(changed({ auto_reply_templates: [reply, { name: " ", text: "" }] }), {});
  assertEquals(changed({ agent_nodes: [" a ", ""] }), {
    kapso_mapping: { agent_nodes: ["a"], keyword_conditions: [] },
  });
  const draft = { ...draftOf(SETTING), auto_reply_templates: [reply, { ...reply, text: "No." }] };
  assertEquals(doubleName(draft), "price");
  assertEquals(doubleName(draftOf(SETTING)), undefined);
});

const changedText = (parts: Part[]) =>
  parts.filter(({ isChanged }) => isChanged).map(({ text }) => text).join("").trim();

Deno.test("a difference is found, and the parts of each side are its whole text", () => {
  const one = "You are kind. Answer in two sentences.";
  const other = "You are kind. Answer briefly, in two sentences.";
  const difference = differenceOf(one, other, false);
  assertEquals(changedText(difference.one), "");
  assertEquals(changedText(difference.other), "briefly,");
  for (const [text, parts] of [[one, difference.one], [other, difference.other]] as const) {
    assertEquals(parts.map((part) => part.text).join(""), text);
  }
});

Deno.test("of long texts the difference is shown, and the whole on demand", () => {
  const words = "word ".repeat(20_000);
  const cut = differenceOf(`${words}one ${words}`, `${words}two ${words}`, false);
  assert(cut.isCut);
  assert(cut.one.map(({ text }) => text).join("").length < 400);
  const whole = differenceOf(`${words}one ${words}`, `${words}two ${words}`, true);
  assertEquals(whole.one.map(({ text }) => text).join(""), `${words}one ${words}`);
  assertEquals(differenceOf("", "new", false).other, [{ text: "new", isChanged: true }]);
});

Deno.test("changes that are far from each other are marked alone, and what lies between is cut", () => {
  const rules = Array.from(
    { length: 30 },
    (_, index) => `${index}. Answer in the language of the customer.`,
  )
    .join("\n");
  const one = `You are Sarah.\n${rules}\nBe kind.`;
  const other = `You are Sally.\n${rules}\nBe kind and short.`;
  const difference = differenceOf(one, other, true);
  assertEquals(changedText(difference.one), "Sarah.\nkind.");
  assertEquals(changedText(difference.other), "Sally.\nkind and short.");
  for (const [text, parts] of [[one, difference.one], [other, difference.other]] as const) {
    assertEquals(parts.map((part) => part.text).join(""), text);
  }
  const cut = differenceOf(one, other, false);
  assert(cut.isCut);
  assert(cut.one.map(({ text }) => text).join("").length < 400);
});

Deno.test("texts that have nothing in common are compared at once", () => {
  const words = (letter: string) =>
    Array.from({ length: 20_000 }, (_, index) => letter + index).join(" ");
  const [one, other] = [words("a"), words("b")];
  const difference = differenceOf(one, other, false);
  assertEquals(changedText(difference.one), one);
  assertEquals(changedText(difference.other), other);
});
