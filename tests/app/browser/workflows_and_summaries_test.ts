/**
 * Workflow settings and daily summaries in a browser, through the real functions, with a fake Kapso and
 * a fake AI.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Page } from "playwright-core";
import { call } from "../../support/users.ts";
import type { Person } from "../../support/inbox.ts";
import type { JsonObject, Workflow } from "../../../fakes/kapso/state.ts";
import { type FakeLlm, startFakeLlm, summary } from "../../../fakes/llm.ts";
import {
  assertAccessible,
  assertNoSidewaysScroll,
  type BrowserWorld,
  choose,
  customer,
  find,
  startBrowserWorld,
  until,
} from "../../support/browser.ts";

let llm: FakeLlm;
let world: BrowserWorld;
Deno.test.beforeAll(async () => {
  llm = startFakeLlm();
  world = await startBrowserWorld({
    SUMMARY_AI_BASE_URL: llm.url,
    SUMMARY_AI_MODEL: "test-model",
  });
});
Deno.test.afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await llm[Symbol.asyncDispose]();
});

/** A workflow with one agent, as if created in the dashboard. */
function addWorkflow(name: string, prompt = "You are a bot."): Workflow {
  const { fake } = world.inbox;
  const model = fake.state.models[0]!;
  return fake.addWorkflow({
    name,
    status: "active",
    nodes: [{
      id: "agent_1",
      type: "flow-node",
      position: { x: 0, y: 0 },
      data: {
        node_type: "agent",
        display_name: "Agent",
        config: {
          system_prompt: prompt,
          provider_model_id: model.id,
          provider_model_name: model.name,
          temperature: 0.2,
        },
      },
    }],
    edges: [],
  });
}

// deno-lint-ignore no-explicit-any -- a config of the fake
function configOf(workflow: Workflow): any {
  return (workflow.nodes[0]!.data as JsonObject).config;
}

/** Changes the workflow as if in the dashboard. */
function editAtKapso(workflow: Workflow, changes: JsonObject): void {
  Object.assign(configOf(workflow), changes);
  workflow.lockVersion++;
}

/** A request to `workflow-settings` of a user. */
async function ask(person: Person, method: string, path: string, body: unknown) {
  const { info, team } = world.inbox;
  const answer = await call(info, `workflow-settings/${team.owner.workspaceId}/${path}`, {
    method,
    headers: { authorization: `Bearer ${person.token}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  assert(answer.status < 300, JSON.stringify(answer.body));
  return answer.body;
}

/** Creates settings and syncs them to Kapso. */
async function createSynced(type: string, prompt: string): Promise<Workflow> {
  const { owner } = world.inbox.team;
  const workflow = addWorkflow(`Flow ${type}`, prompt);
  await ask(owner, "PUT", type, { kapso_workflow_id: workflow.id, system_prompt: prompt });
  const { outcome } = await ask(owner, "POST", `${type}/sync`, {});
  assertEquals(outcome, "synced");
  return workflow;
}

/** The panel that compares with Kapso. */
function kapsoPanel(page: Page) {
  return page.getByRole("region", { name: "Kapso", exact: true });
}

function promptField(page: Page) {
  return page.getByRole("textbox", { name: "System prompt" });
}

/** The text in the clipboard. */
function copied(page: Page): Promise<string> {
  return page.evaluate<string>("navigator.clipboard.readText()");
}

async function untilStatus(page: Page, status: string): Promise<void> {
  await page.getByRole("heading", { level: 1 }).getByText(status, { exact: true }).waitFor();
}

Deno.test("settings are created, linked to Kapso, and synced after both sides were shown", async () => {
  const workflow = addWorkflow("Sarah at Kapso");
  await using window = await world.open(world.inbox.team.owner, "/workflows");
  const { page } = window;
  await page.getByRole("heading", { name: "No workflow settings yet" }).waitFor();
  await page.getByRole("button", { name: "New workflow" }).click();
  await page.getByRole("radio", { name: /^Sarah/ }).check();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByLabel("AI model").fill("google/gemini-2.5-flash");
  await promptField(page).fill("You are Sarah.");
  await page.getByLabel("Temperature").fill("3");
  await page.getByRole("textbox", { name: "Keywords" }).fill("price, promo,");
  await page.getByRole("button", { name: "Add reply" }).click();
  await page.getByLabel("Name of reply 1").fill("price");
  await page.getByLabel("Text of reply 1").fill("Our prices are on the card.");
  await choose(page, "Workflow", "Sarah at Kapso");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByRole("alert").filter({ hasText: "Enter a temperature from 0 to 2" }).waitFor();
  await page.getByLabel("Temperature").fill("0.7");
  await page.getByRole("button", { name: "Save", exact: true }).click();

  // Kapso has other values and was never synced: the user decides, and nothing is preselected.
  await kapsoPanel(page).getByText("Kapso and these settings differ").waitFor();
  const prompt = kapsoPanel(page).getByRole("region", { name: "System prompt" });
  await prompt.getByText("You are a bot.").waitFor();
  await prompt.getByText("You are Sarah.").waitFor();
  assert(await page.getByRole("button", { name: "Choose a side" }).isDisabled());
  await page.getByRole("radio", { name: /^These settings/ }).check();
  await page.getByRole("button", { name: "Overwrite Kapso" }).click();
  await untilStatus(page, "Synced");
  assertEquals(configOf(workflow).system_prompt, "You are Sarah.");
  assertEquals(configOf(workflow).temperature, 0.7);

  const history = page.getByRole("region", { name: "History" });
  await history.getByText("Synced to Kapso").waitFor();
  await history.getByText("Created").waitFor();
  const { data } = await world.inbox.team.owner.client.auth.getUser();
  await history.getByText(data.user!.email!).first().waitFor();
  await page.reload();
  await untilStatus(page, "Synced");
  assertEquals(
    await page.getByLabel("Text of reply 1").inputValue(),
    "Our prices are on the card.",
  );
  await page.getByRole("link", { name: "All workflows" }).click();
  await page.getByRole("link", { name: /Sarah.*Synced/ }).waitFor();
});

Deno.test("a sync shows what it will write before it writes", async () => {
  const workflow = await createSynced("brain", "You are Brain.");
  await using window = await world.open(world.inbox.team.admin, "/workflows/brain");
  const { page } = window;
  await untilStatus(page, "Synced");
  await promptField(page).fill("You are Brain. Be brief.");
  // Unsaved changes survive a visit to another page.
  await page.getByRole("link", { name: "All workflows" }).click();
  await page.getByRole("link", { name: /^Brain/ }).click();
  await page.getByText("You have unsaved changes.").waitFor();
  assertEquals(await promptField(page).inputValue(), "You are Brain. Be brief.");
  assert(await page.getByRole("button", { name: "Sync to Kapso" }).isDisabled());
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await untilStatus(page, "Pending");
  await page.getByRole("button", { name: "Sync to Kapso" }).click();
  const dialog = page.getByRole("dialog", { name: "Write these changes to Kapso?" });
  await dialog.getByRole("region", { name: "Kapso now" }).getByText("You are Brain.").waitFor();
  await dialog.getByRole("region", { name: "After sync" }).getByText("Be brief.").waitFor();
  assertEquals(configOf(workflow).system_prompt, "You are Brain.");
  // Another user saves while the preview is open: their change was not previewed.
  const { owner } = world.inbox.team;
  await ask(owner, "PUT", "brain", { version: 2, system_prompt: "You are Brain. Be very brief." });
  await dialog.getByRole("button", { name: "Write to Kapso" }).click();
  await dialog.getByText("Someone else changed these settings").waitFor();
  assertEquals(configOf(workflow).system_prompt, "You are Brain.");
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await until(
    "the other's prompt",
    async () => await promptField(page).inputValue() === "You are Brain. Be very brief.",
  );
  await page.getByRole("button", { name: "Sync to Kapso" }).click();
  await dialog.getByRole("region", { name: "After sync" }).getByText("very").waitFor();
  await dialog.getByRole("button", { name: "Write to Kapso" }).click();
  await untilStatus(page, "Synced");
  assertEquals(configOf(workflow).system_prompt, "You are Brain. Be very brief.");
});

Deno.test("a change at Kapso is found and can be adopted", async () => {
  const workflow = await createSynced("drifting", "You are kind.");
  await using window = await world.open(world.inbox.team.owner, "/workflows/drifting");
  const { page } = window;
  await untilStatus(page, "Synced");
  await kapsoPanel(page).getByText("Kapso has these values.").waitFor();
  editAtKapso(workflow, { system_prompt: "You are stern." });
  await page.getByRole("button", { name: "Compare" }).click();
  await untilStatus(page, "Conflict");
  await page.getByRole("region", { name: "History" }).getByText("Compared with Kapso").waitFor();
  await page.getByRole("radio", { name: /^Kapso/ }).check();

  // It changes again in the meantime: values that were not shown are not adopted.
  editAtKapso(workflow, { system_prompt: "You are stern and brief." });
  await page.getByRole("button", { name: "Use Kapso’s values" }).click();
  await page.getByText("Kapso's values have changed").waitFor();
  await kapsoPanel(page).getByText("stern and brief.").waitFor();
  assertEquals(await promptField(page).inputValue(), "You are kind.");
  await page.getByRole("radio", { name: /^Kapso/ }).check();
  await page.getByRole("button", { name: "Use Kapso’s values" }).click();
  await untilStatus(page, "Synced");
  assertEquals(await promptField(page).inputValue(), "You are stern and brief.");
  await page.getByRole("region", { name: "History" }).getByText("Replaced with Kapso’s values")
    .first().waitFor();
});

Deno.test("a workflow that was deleted at Kapso does not count as synced", async () => {
  const workflow = await createSynced("gone", "You are there.");
  world.inbox.fake.state.workflows.delete(workflow.id);
  await using window = await world.open(world.inbox.team.owner, "/workflows/gone");
  const { page } = window;
  await untilStatus(page, "Error");
  await kapsoPanel(page).getByText("no workflow with this id").waitFor();
});

Deno.test("where a sync is impossible, the app guides through the manual setup", async () => {
  const { owner } = world.inbox.team;
  await ask(owner, "PUT", "by_hand", { system_prompt: "You are patient.", keywords: ["help"] });
  await using window = await world.open(owner, "/workflows/by_hand", {
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const { page } = window;
  await untilStatus(page, "Pending");
  await page.getByRole("button", { name: "Sync to Kapso" }).click();
  await untilStatus(page, "Manual setup required");
  const steps = page.getByRole("region", { name: "Set it up manually" }).getByRole("listitem");
  await steps.first().getByText("Open the Kapso dashboard").waitFor();
  const step = steps.filter({ hasText: "You are patient." });
  await step.getByRole("button", { name: /^Copy/ }).click();
  await step.getByRole("button", { name: /^Copied/ }).waitFor();
  assertEquals(await copied(page), "You are patient.");
  await page.getByRole("button", { name: "Copy JSON" }).click();
  await page.getByRole("button", { name: /^Copied\b.*JSON/ }).waitFor();
  const json = JSON.parse(await copied(page));
  assertMatch(JSON.stringify(json.nodes), /You are patient/);
  await page.getByRole("button", { name: "I’ve updated Kapso" }).click();
  await untilStatus(page, "Synced");
  await page.getByRole("region", { name: "History" }).getByText("Confirmed manually").waitFor();
});

Deno.test("two users at once: no change is lost", async () => {
  const { owner, admin } = world.inbox.team;
  await ask(owner, "PUT", "shared", { system_prompt: "One" });
  await using window = await world.open(owner, "/workflows/shared");
  const { page } = window;
  await promptField(page).fill("Mine");
  await ask(admin, "PUT", "shared", { version: 1, system_prompt: "Theirs" });
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByRole("alert").filter({ hasText: "Someone else changed" }).waitFor();
  assertEquals(await promptField(page).inputValue(), "Mine");
  await page.getByRole("button", { name: "Discard my changes" }).click();
  assertEquals(await promptField(page).inputValue(), "Theirs");
});

for (const role of ["agent", "viewer"] as const) {
  Deno.test(`workflow settings are hidden from ${role}s, and the page says so`, async () => {
    await using window = await world.open(world.inbox.team[role], "/workflows/sarah");
    const { page } = window;
    await page.getByRole("heading", { name: "Workflow settings are for owners and admins" })
      .waitFor();
    assertEquals(await promptField(page).count(), 0);
    await page.getByRole("link", { name: "Summaries" }).click();
    await page.getByRole("heading", { name: "Daily summaries", level: 1 }).waitFor();
    await page.getByRole("heading", { level: 2 }).waitFor();
    assertEquals(await page.getByRole("button", { name: /Create|Settings/ }).count(), 0);
  });
}

Deno.test("summaries are created, read by day, and shown with the contact", async () => {
  const { owner, viewer } = world.inbox.team;
  // The clock of the fake runs ahead, and a message of tomorrow is in no summary.
  const sentAt = Date.now() - 1000;
  const { name } = await customer(world, "Do you have bread?", { sentAt });
  const other = await customer(world, "Good morning", { sentAt });
  await using window = await world.open(owner, "/summaries");
  const { page } = window;
  await page.getByRole("heading", { name: "No summaries for this day" }).waitFor();
  await page.getByRole("button", { name: "Create summaries for this day" }).click();
  const note = page.getByRole("article", { name });
  await note.getByText("“Do you have bread?”").waitFor();
  await note.getByText("Open question").waitFor();
  await note.getByText("1 received").waitFor();
  await note.getByText("No reply that day").waitFor();
  assertEquals(llm.requests.length, 0);

  // Open questions come first, and can be shown alone.
  await page.getByRole("article", { name: other.name }).waitFor();
  await page.getByRole("radio", { name: "Open questions" }).check();
  await page.getByRole("article", { name: other.name }).waitFor({ state: "detached" });
  await note.waitFor();
  await page.getByRole("radio", { name: "Everyone" }).check();

  // Texts leave the project only where the workspace allows it.
  await page.getByRole("button", { name: "Settings" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("leave this project").waitFor();
  await dialog.getByLabel("Allow an external AI").check();
  await choose(dialog, "At", "18:00");
  await choose(dialog, "Language of the summaries", "Portuguese");
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByText("written by an external AI").waitFor();
  llm.reply = () => ({ kind: "status", status: 500 });
  await page.getByRole("button", { name: "Create again" }).click();
  await note.getByText("The AI didn't respond.").waitFor();
  llm.reply = () => summary("Perguntou se há <b>pão</b>.", true, 100);
  await page.getByRole("button", { name: "Create again" }).click();
  await note.getByText("Perguntou se há").waitFor();
  await page.getByText(/summaries created, \d+ by AI/).waitFor();
  const { data } = await owner.client.from("workspace_summary_settings").select().single();
  assertEquals([data!.hour, data!.language, data!.allow_external_ai], [18, "pt", true]);

  await note.getByRole("link", { name: "Open conversation" }).click();
  await page.getByRole("heading", { name, level: 2 }).waitFor();

  await using second = await world.open(viewer);
  await find(second.page, name);
  const panel = second.page.getByRole("complementary", { name: "Contact" });
  await panel.or(second.page.getByRole("button", { name: "Show contact" })).first().waitFor();
  if (!await panel.isVisible()) {
    await second.page.getByRole("button", { name: "Show contact" }).click();
  }
  const summaries = panel.getByRole("region", { name: "Daily summaries" });
  await summaries.getByText("Perguntou se há").waitFor();
  await summaries.getByText("Open question").waitFor();
  await summaries.getByRole("link").click();
  await second.page.getByRole("article", { name }).waitFor();
  const address = second.page.url();
  await second.page.getByRole("button", { name: "Previous day" }).click();
  await second.page.getByRole("heading", { name: "No summaries for this day" }).waitFor();
  await second.page.getByRole("button", { name: "Next day" }).click();
  await second.page.getByRole("article", { name }).waitFor();
  assertEquals(second.page.url(), address);
});

Deno.test("a day with many people is read to its end, most messages first", async () => {
  const { sql, team } = world.inbox;
  const day = "2026-03-01";
  await sql`
    with person as (
      insert into public.people (workspace_id, name)
      select ${team.owner.workspaceId}, 'Person ' || number from generate_series(1, 32) as number
      returning id, workspace_id, name
    )
    insert into public.person_notes (workspace_id, person_id, kind, local_date, content, metadata)
    select workspace_id, id, 'daily_summary', ${day}, 'Wrote.', jsonb_build_object(
      'message_count', split_part(name, ' ', 2)::int, 'inbound_count', 1, 'outbound_count', 0,
      'first_inbound_at', null, 'first_answer_seconds', null, 'unanswered_count', 1,
      'has_open_question', name = 'Person 5', 'source', 'ai', 'fallback_reason', null
    )
    from person`;
  await using window = await world.open(team.agent, `/summaries/${day}`);
  const { page } = window;
  await page.getByText("30 of 32 people").waitFor();
  const names = page.getByRole("article").getByRole("heading");
  assertEquals((await names.allTextContents()).slice(0, 3), ["Person 5", "Person 32", "Person 31"]);
  await page.getByRole("button", { name: "Show more" }).click();
  await page.getByText("32 people", { exact: true }).waitFor();
  assertEquals(new Set(await names.allTextContents()).size, 32);
});

for (const colorScheme of ["light", "dark"] as const) {
  Deno.test(`both pages are accessible and fit a phone, ${colorScheme}`, async () => {
    const type = `pages_${colorScheme}`;
    const workflow = await createSynced(type, "You are kind.");
    await using window = await world.open(world.inbox.team.owner, "/workflows", { colorScheme });
    const { page } = window;
    await page.getByRole("link", { name: new RegExp(type) }).waitFor();
    const check = async (where: string) => {
      await assertAccessible(page, where);
      await page.setViewportSize({ width: 375, height: 720 });
      await assertNoSidewaysScroll(page);
      const wide = await page.locator("main").evaluate((main) =>
        main.scrollWidth - main.clientWidth
      );
      assertEquals(wide, 0, `${where}: something stands out at 375 px`);
      await page.setViewportSize({ width: 1280, height: 800 });
    };
    await check("list");
    await page.getByRole("link", { name: new RegExp(type) }).click();
    await kapsoPanel(page).getByText("Kapso has these values.").waitFor();
    editAtKapso(workflow, { system_prompt: `You are ${"very ".repeat(200)}stern.` });
    await page.getByRole("button", { name: "Compare" }).click();
    await page.getByRole("button", { name: "Choose a side" }).waitFor();
    await page.getByRole("button", { name: "Set up manually" }).click();
    await page.getByRole("button", { name: "I’ve updated Kapso" }).waitFor();
    await page.getByRole("button", { name: "Add reply" }).click();
    await page.getByText("Nodes of the workflow").click();
    await page.getByRole("button", { name: "Add condition" }).click();
    await check("settings");
    await page.getByRole("link", { name: "Summaries" }).click();
    await page.getByRole("article").first().waitFor();
    await check("summaries");
    await page.getByRole("button", { name: "Settings" }).click();
    await page.getByRole("dialog").waitFor();
    await check("settings of the summaries");
  });
}

Deno.test("no key reached the browser, and it reported no fault", async () => {
  await world.settled();
  assertEquals(world.leaks, []);
  assertEquals(world.faults, []);
  assertStringIncludes(llm.requests.map(({ prompt }) => prompt).join(), "Do you have bread?");
});
