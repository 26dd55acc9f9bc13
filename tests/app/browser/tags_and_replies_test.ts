/**
 * Tags and canned replies in a browser.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { unique } from "../../support/people.ts";
import {
  assertAccessible,
  assertNoSidewaysScroll,
  type BrowserWorld,
  bubble,
  choose,
  composer,
  customer,
  find,
  lookAgain,
  row,
  startBrowserWorld,
  until,
} from "../../support/browser.ts";

let world: BrowserWorld;
Deno.test.beforeAll(async () => {
  world = await startBrowserWorld();
});
Deno.test.afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

/** Creates tags as the owner, without the browser. */
async function createTags(...names: string[]): Promise<void> {
  const { client, workspaceId } = world.inbox.team.owner;
  const { error } = await client.from("tags")
    .insert(names.map((name) => ({ workspace_id: workspaceId, name, colour: "blue" })));
  assertEquals(error, null);
}

/** Creates a canned reply as the owner, without the browser. */
async function createReply(shortcut: string, title: string, content: string): Promise<void> {
  const { client, workspaceId } = world.inbox.team.owner;
  const { error } = await client.from("canned_replies")
    .insert({ workspace_id: workspaceId, shortcut, title, content });
  assertEquals(error, null);
}

Deno.test("a tag is created, added to a conversation, filtered by and removed", async () => {
  const tagged = await customer(world);
  const plain = await customer(world);
  const name = unique("Gold ");
  await using window = await world.open(world.inbox.team.owner);
  const { page } = window;
  await find(page, tagged.name);
  await page.getByRole("button", { name: /^Tags/ }).click();
  await page.getByRole("menuitem", { name: "Manage tags" }).click();
  const dialog = page.getByRole("dialog", { name: "Manage tags" });
  for (const written of [name, name.toUpperCase()]) {
    await dialog.getByLabel("Name").fill(written);
    await choose(dialog, "Colour", "Purple");
    await dialog.getByRole("button", { name: "Add tag" }).click();
    if (written === name) await dialog.getByRole("listitem").filter({ hasText: name }).waitFor();
  }
  await dialog.getByRole("alert").filter({ hasText: "Another tag has this name" }).waitFor();
  await dialog.getByRole("button", { name: "Close" }).click();

  // An agent adds it.
  await using second = await world.open(world.inbox.team.agent);
  const agent = second.page;
  await find(agent, tagged.name);
  await agent.getByRole("button", { name: "Tags", exact: true }).click();
  assertEquals(await agent.getByRole("menuitem", { name: "Manage tags" }).count(), 0);
  await agent.getByRole("menuitemcheckbox", { name }).click();
  await agent.getByRole("list", { name: "Tags of this conversation" }).getByText(name).waitFor();
  await row(agent, tagged.name).getByText(name).waitFor();
  // Other users see it with their next read.
  await lookAgain(page);
  await page.getByRole("list", { name: "Tags of this conversation" }).getByText(name).waitFor();

  await agent.keyboard.press("Escape");
  await agent.getByRole("searchbox").fill("");
  await choose(agent, "Tag", name);
  await row(agent, plain.name).waitFor({ state: "detached" });
  await row(agent, tagged.name).waitFor();
  await agent.getByRole("radio", { name: "Closed" }).check({ force: true });
  await agent.getByRole("heading", { name: "No matches" }).waitFor();
  await agent.getByRole("radio", { name: "All" }).check({ force: true });
  await row(agent, tagged.name).waitFor();

  await agent.getByRole("button", { name: "Tags: 1 on this conversation" }).click();
  const chosen = agent.getByRole("menuitemcheckbox", { name, checked: true });
  await chosen.click();
  await agent.getByRole("heading", { name: "No matches" }).waitFor();
});

Deno.test("a canned reply is written, found by its shortcut and inserted with the keyboard", async () => {
  const { name } = await customer(world);
  const shortcut = unique("hi");
  await using window = await world.open(world.inbox.team.owner);
  const { page } = window;
  await find(page, name);
  await composer(page).fill("/");
  await page.getByRole("button", { name: "Manage canned replies" }).click();
  const dialog = page.getByRole("dialog", { name: "Manage canned replies" });
  for (const title of ["First", "Second"]) {
    await dialog.getByRole("button", { name: "New canned reply" }).click();
    await dialog.getByLabel("Title").fill(`${title} ${shortcut}`);
    await dialog.getByLabel("Shortcut").fill(title === "First" ? shortcut : shortcut + "2");
    await dialog.getByLabel("Text").fill(`Hello {{name}}, ${title}`);
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.getByRole("listitem").filter({ hasText: `${title} ${shortcut}` }).waitFor();
  }
  await dialog.getByRole("button", { name: `Edit Second ${shortcut}` }).click();
  await dialog.getByLabel("Shortcut").fill(shortcut.toUpperCase());
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByRole("alert").filter({ hasText: "Another canned reply has this" }).waitFor();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await dialog.getByRole("button", { name: "Close" }).click();

  await composer(page).fill("");
  await composer(page).pressSequentially(`/${shortcut}`);
  const list = page.getByRole("listbox", { name: "Canned replies" });
  assertEquals(await list.getByRole("option").count(), 2);
  // The field tells a screen reader which option is active.
  const marked = async () =>
    await page.locator(`[id="${await composer(page).getAttribute("aria-activedescendant")}"]`)
      .textContent();
  assert((await marked())?.startsWith(`First ${shortcut}`));
  await composer(page).press("ArrowDown");
  assert((await marked())?.startsWith(`Second ${shortcut}`));
  await composer(page).press("Enter");
  assertEquals(await composer(page).inputValue(), `Hello ${name}, Second`);
  await list.waitFor({ state: "detached" });
  await composer(page).press("Enter");
  await bubble(page, `Hello ${name}, Second`).waitFor();

  // After Escape, what was typed is an ordinary message.
  await composer(page).pressSequentially(`/${shortcut}`);
  await list.waitFor();
  await composer(page).press("Escape");
  await list.waitFor({ state: "detached" });
  await composer(page).press("Enter");
  await bubble(page, `/${shortcut}`).waitFor();
  // An unknown shortcut is not sent by accident.
  await composer(page).pressSequentially(`/${shortcut}nothing`);
  await page.getByText("No matching canned replies").first().waitFor();
  await composer(page).press("Enter");
  assertEquals(await composer(page).inputValue(), `/${shortcut}nothing`);
});

Deno.test("an agent uses canned replies but cannot change them; a viewer only sees tags", async () => {
  const { name, thread } = await customer(world);
  const [tag, shortcut] = [unique("Seen "), unique("agent")];
  await createTags(tag);
  await createReply(shortcut, "For agents", "Hello from an agent");
  const { agent, viewer } = world.inbox.team;
  const { data: tags } = await agent.client.from("tags").select("id").eq("name", tag);
  const { error } = await agent.client.from("conversation_tags").insert({
    workspace_id: world.inbox.team.owner.workspaceId,
    conversation_id: thread,
    tag_id: tags![0]!.id,
  });
  assertEquals(error, null);
  {
    await using window = await world.open(agent);
    const { page } = window;
    await find(page, name);
    await composer(page).pressSequentially(`/${shortcut}`);
    await page.getByRole("option", { name: "For agents" }).click();
    assertEquals(await composer(page).inputValue(), "Hello from an agent");
    assertEquals(await page.getByRole("button", { name: "Manage canned replies" }).count(), 0);
  }
  await using window = await world.open(viewer);
  const { page } = window;
  await find(page, name);
  await page.getByRole("list", { name: "Tags of this conversation" }).getByText(tag).waitFor();
  assertEquals(await page.getByRole("button", { name: /^Tags/ }).count(), 0);
  assertEquals(await composer(page).count(), 0);
});

for (const colorScheme of ["light", "dark"] as const) {
  Deno.test(`tags and canned replies are accessible and fit a phone, ${colorScheme}`, async () => {
    const { name, thread } = await customer(world);
    const { client, workspaceId } = world.inbox.team.owner;
    const colours = ["grey", "red", "orange", "green", "teal", "blue", "purple", "pink"] as const;
    const { data: tags } = await client.from("tags").insert(
      colours.map((colour) => ({
        workspace_id: workspaceId,
        name: unique(`${colour} in ${colorScheme} `),
        colour,
      })),
    ).select("id");
    const { error } = await client.from("conversation_tags").insert(
      tags!.map(({ id }) => ({ workspace_id: workspaceId, conversation_id: thread, tag_id: id })),
    );
    assertEquals(error, null);
    await createReply(unique("fit"), "Fits a phone", "A text\n".repeat(20));
    await using window = await world.open(world.inbox.team.owner, "/inbox", {
      colorScheme,
      viewport: { width: 375, height: 720 },
      hasTouch: true,
      isMobile: true,
    });
    const { page } = window;
    await row(page, name).getByText("5 more tags").waitFor();
    await assertNoSidewaysScroll(page);
    await assertAccessible(page, "list");
    await find(page, name);
    await page.getByRole("list", { name: "Tags of this conversation" }).waitFor();
    await page.getByRole("button", { name: /^Tags/ }).tap();
    await page.getByRole("menuitemcheckbox").first().waitFor();
    await assertNoSidewaysScroll(page);
    await assertAccessible(page, "menu");
    await page.getByRole("menuitem", { name: "Manage tags" }).tap();
    await page.getByRole("dialog").getByRole("listitem").first().waitFor();
    await assertNoSidewaysScroll(page);
    await assertAccessible(page, "tags");
    await page.keyboard.press("Escape");
    await composer(page).fill("/fit");
    await page.locator("[role=option]").first().waitFor();
    await assertNoSidewaysScroll(page);
    await assertAccessible(page, "replies");
    await page.locator("[role=option]").first().tap();
    await until("the text", async () => (await composer(page).inputValue()).startsWith("A text"));
    await composer(page).fill("/");
    await page.getByRole("button", { name: "Manage canned replies" }).tap();
    await page.getByRole("dialog").getByRole("listitem").first().waitFor();
    await assertAccessible(page, "list of replies");
    await page.getByRole("button", { name: "New canned reply" }).tap();
    await page.getByLabel("Shortcut").waitFor();
    await assertNoSidewaysScroll(page);
    await assertAccessible(page, "new reply");
  });
}

Deno.test("the browser refused nothing and talked only to the stack", async () => {
  await world.settled();
  assertEquals(world.faults, []);
});
