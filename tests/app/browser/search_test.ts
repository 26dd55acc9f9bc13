/**
 * The search of the inbox in a browser: contacts, conversations and messages behind one field, and the way from a
 * message that was found to its place in the conversation.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Locator, Page } from "playwright-core";
import { size } from "../../support/database.ts";
import {
  conversation,
  ingest,
  ingestOne,
  message,
  type TestMessage,
} from "../../support/messages.ts";
import { unique } from "../../support/people.ts";
import { createBridge, type OwnBridge } from "../../support/users.ts";
import {
  assertAccessible,
  assertNoSidewaysScroll,
  type BrowserWorld,
  bubble,
  choose,
  customer,
  find,
  lookAgain,
  row,
  searchField,
  send,
  startBrowserWorld,
  until,
} from "../../support/browser.ts";

/** The app sends a search this long after the last keystroke, in milliseconds. */
const SEARCH_DELAY_MS = 250;

let world: BrowserWorld;
let bridge: OwnBridge;
Deno.test.beforeAll(async () => {
  world = await startBrowserWorld();
  bridge = await createBridge(world.inbox.team.owner, "telegram");
});
Deno.test.afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

/** A word that no other test uses, of letters alone. */
function word(): string {
  const letters = unique("").replace(/\d/g, (digit) => "ghijklmnop"[Number(digit)]!);
  return `z${letters}`;
}

/** A time: minutes after the first of these messages. */
const minute = (count: number) => new Date(Date.UTC(2026, 0, 5) + count * 60_000).toISOString();

/** Stores a conversation with a message a minute: `content` by number, the first one is 0. */
async function story(
  count: number,
  content: (number: number) => Partial<TestMessage> = () => ({}),
) {
  const name = unique("Story ");
  const id = await ingestOne(
    world.inbox.sql,
    bridge,
    conversation({
      participant_name: name,
      messages: Array.from(
        { length: count },
        (_, number) =>
          message({
            content: `Number ${number} of it`,
            sent_at: minute(number),
            ...content(number),
          }),
      ),
    }),
  );
  return { name, id };
}

/** Closes or reopens a conversation, as a member does. */
async function setStatus(id: string, status: "open" | "closed"): Promise<void> {
  await world.inbox.sql`
    update public.conversations
    set status = ${status}, closed_at = ${status === "closed" ? new Date() : null}
    where id = ${id}`;
}

const results = (page: Page) => page.getByRole("group", { name: "Search results" });
const group = (page: Page, name: string) => results(page).getByRole("group", { name });
/** The message hits that contain a text. */
const hits = (page: Page, text: string) =>
  group(page, "Messages").getByRole("link").filter({ hasText: text });
const heading = (page: Page, text: string) =>
  results(page).getByRole("heading", { name: text, exact: true });
const highlighted = (page: Page) => page.locator("[data-highlighted]");
const matches = (page: Page) => page.getByRole("group", { name: "Matches in this conversation" });
const hasFocus = (element: Locator) => element.evaluate((each) => each.matches(":focus"));

/** Whether an element is in sight of what scrolls around it, and not merely drawn. */
async function assertInSight(page: Page, element: Locator): Promise<void> {
  const area = await page.getByRole("region", { name: "Messages", exact: true }).boundingBox();
  await until("the message is in sight", async () => {
    const box = await element.boundingBox();
    return box !== null && box.y >= area!.y && box.y + box.height <= area!.y + area!.height;
  });
}

Deno.test("a word of a first message is found after many others, and the conversation opens there", async () => {
  const found = word();
  const { name, id } = await story(
    300,
    (number) => number === 0 ? { content: `Do you have a ${found} for my garden?` } : {},
  );
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  // Part of the word, in capital letters.
  await searchField(page).fill(found.slice(0, -2).toUpperCase());
  await heading(page, "Messages 1").waitFor();
  await heading(page, "Contacts 0").waitFor();
  await heading(page, "Conversations 0").waitFor();
  assertEquals(
    (await hits(page, name).locator("mark").textContent())!.toLowerCase(),
    found.slice(0, -2),
  );
  await hits(page, name).click();
  await page.getByRole("heading", { name, level: 2 }).waitFor();
  await highlighted(page).filter({ hasText: found }).waitFor();
  await assertInSight(page, bubble(page, found));
  await page.getByText("Start of the conversation").waitFor();
  assertMatch(page.url(), new RegExp(`/inbox/${id}\\?q=[^&]*&message=`));
  // The end was not in sight, so nothing counts as read.
  const [stored] = await world.inbox.sql<{ unread_count: number }[]>`
    select unread_count from public.conversations where id = ${id}`;
  assertEquals(stored!.unread_count, 300);
  await highlighted(page).waitFor({ state: "detached" });

  // Further messages are loaded below, one page after the other, and the place stays.
  const messages = page.getByRole("region", { name: "Messages", exact: true });
  await page.getByRole("button", { name: "Jump to newest" }).waitFor();
  let seen = 0;
  await until("reading to the newest message", async () => {
    await messages.evaluate((list) => list.scrollBy({ top: 400 }));
    const shown = await messages.getByRole("listitem").allTextContents();
    const numbers = shown.flatMap((text) => /Number (\d+) of it/.exec(text)?.[1] ?? []).map(Number);
    // Every message passes by.
    assert(numbers.length === 0 || Math.min(...numbers) <= seen + 1, `${seen} → ${numbers}`);
    seen = Math.max(seen, ...numbers);
    return seen === 299;
  });
  // Its hit leads back there, though it is the address that is open.
  await hits(page, name).click();
  await highlighted(page).filter({ hasText: found }).waitFor();
  await page.getByRole("button", { name: "Jump to newest" }).click();
  await bubble(page, "Number 299 of it").waitFor();
  await page.getByRole("button", { name: "Jump to newest" }).waitFor({ state: "detached" });
});

Deno.test("a message in the middle opens with those around it, and older ones follow", async () => {
  const found = word();
  const { name } = await story(400, (number) => number === 200 ? { content: `so ${found}` } : {});
  await using window = await world.open(world.inbox.team.viewer);
  const { page } = window;
  await searchField(page).fill(found);
  await hits(page, name).click();
  await highlighted(page).filter({ hasText: found }).waitFor();
  await assertInSight(page, bubble(page, found));
  await bubble(page, "Number 199 of it").waitFor();
  await bubble(page, "Number 201 of it").waitFor();
  const messages = page.getByRole("region", { name: "Messages", exact: true });
  await until("reaching the first message", async () => {
    await messages.evaluate((list) => list.scrollTo({ top: 0 }));
    return await page.getByText("Start of the conversation").isVisible();
  });
  await bubble(page, "Number 0 of it").waitFor();
});

Deno.test("closed conversations are found, and say so", async () => {
  const found = word();
  const { name, id } = await story(2, () => ({ content: `about the ${found}` }));
  await setStatus(id, "closed");
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await searchField(page).fill(name);
  await row(page, name).getByText("Closed").waitFor();
  await searchField(page).fill(found);
  await heading(page, "Messages 2").waitFor();
  assertEquals(await hits(page, name).getByText("Closed").count(), 2);
  assertEquals(await page.getByRole("radio", { name: "Closed" }).count(), 0);
});

Deno.test("matches of a conversation are stepped through", async () => {
  const found = word();
  const { name } = await story(
    500,
    (number) => [10, 250, 490].includes(number) ? { content: `${found} at ${number}.` } : {},
  );
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await searchField(page).fill(found);
  await hits(page, "at 250.").click();
  await highlighted(page).filter({ hasText: "at 250." }).waitFor();
  await matches(page).getByText("2 of 3").waitFor();
  await matches(page).getByText(found).waitFor();
  assertEquals(await hits(page, "at 250.").getAttribute("aria-current"), "true");

  await matches(page).getByRole("button", { name: "Older match" }).click();
  await highlighted(page).filter({ hasText: "at 10." }).waitFor();
  await assertInSight(page, bubble(page, "at 10."));
  await matches(page).getByText("3 of 3").waitFor();
  const older = matches(page).getByRole("button", { name: "Older match" });
  assertEquals(await older.getAttribute("aria-disabled"), "true");
  const newer = matches(page).getByRole("button", { name: "Newer match" });
  await newer.click();
  await matches(page).getByText("2 of 3").waitFor();
  await newer.press("Enter");
  await matches(page).getByText("1 of 3").waitFor();
  await highlighted(page).filter({ hasText: "at 490." }).waitFor();
  await assertInSight(page, bubble(page, "at 490."));
  await matches(page).getByRole("button", { name: "Close matches" }).click();
  await matches(page).waitFor({ state: "detached" });
  await bubble(page, "at 490.").waitFor();
  await page.getByRole("heading", { name, level: 2 }).waitFor();
  assertEquals(await searchField(page).inputValue(), found);
});

Deno.test("filters narrow a search, are shown and can be removed", async () => {
  const found = word();
  const contents: Partial<TestMessage>[] = [
    { content: `${found} from the customer` },
    { content: `${found} from us`, direction: "outbound" },
    { content: `${found} as a picture`, type: "image", media_url: "https://example.com/a.png" },
    { content: `${found} a week later`, sent_at: minute(7 * 24 * 60) },
    // Its preview is what the conversation is found by.
    { content: "Goodbye", sent_at: minute(8 * 24 * 60) },
  ];
  const { name } = await story(5, (number) => contents[number]!);
  await using window = await world.open(world.inbox.team.agent, "/inbox", { timezoneId: "UTC" });
  const { page } = window;
  await choose(page, "Platform", "Telegram");
  await searchField(page).fill(found);
  await heading(page, "Messages 4").waitFor();
  const remove = (name: string) => page.getByRole("button", { name: `Remove filter: ${name}` });
  await remove("Telegram").waitFor();
  await page.getByRole("button", { name: "Filters: 1 active" }).click();
  await choose(page, "Direction", "From us");
  await heading(page, "Messages 1").waitFor();
  await hits(page, "from us").getByText("You:").waitFor();
  await choose(page, "Direction", "From customers");
  await heading(page, "Messages 3").waitFor();
  await page.getByRole("checkbox", { name: "With a file" }).check();
  await heading(page, "Messages 1").waitFor();
  await hits(page, "as a picture").waitFor();
  await remove("With a file").click();
  await page.getByLabel("From", { exact: true }).fill("2026-01-06");
  await heading(page, "Messages 1").waitFor();
  await hits(page, "a week later").waitFor();
  await page.getByLabel("To", { exact: true }).fill("2026-01-11");
  // Nothing is left: it says where it looked, and how to look further.
  const nothing = page.getByRole("status").filter({ hasText: "Nothing found" });
  await nothing.getByText("with these filters").waitFor();
  await page.getByRole("button", { name: "Filters: 4 active" }).waitFor();
  await page.reload();
  await nothing.waitFor();
  await nothing.getByRole("button", { name: "Clear filters" }).click();
  await heading(page, "Messages 4").waitFor();
  assertEquals(await page.getByRole("button", { name: /^Remove filter/ }).count(), 0);

  // Where only messages are missing, their group says why.
  await page.getByRole("button", { name: "Filters", exact: true }).click();
  await searchField(page).fill(name);
  await row(page, name).waitFor();
  await choose(page, "Direction", "From us");
  await group(page, "Messages").getByText("No message with these filters").waitFor();
  await group(page, "Messages").getByRole("button", { name: "Clear filters" }).click();
  await remove("From us").waitFor({ state: "detached" });
  await searchField(page).fill(found);
  await heading(page, "Messages 4").waitFor();

  // Another platform has none of it.
  await choose(page, "Platform", "Signal");
  await nothing.waitFor();
  await remove("Signal").click();
  await heading(page, "Messages 4").waitFor();
});

Deno.test("the address has the search: a reload and the way back keep it", async () => {
  const found = word();
  const { name } = await story(150, (number) => number === 3 ? { content: `see ${found}` } : {});
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await page.getByRole("radio", { name: "All" }).check();
  await searchField(page).pressSequentially(found, { delay: 5 });
  await hits(page, name).click();
  await highlighted(page).filter({ hasText: found }).waitFor();
  // The results stay beside the conversation, and after a reload both are there.
  await hits(page, name).waitFor();
  await page.reload();
  await highlighted(page).filter({ hasText: found }).waitFor();
  await hits(page, name).waitFor();
  assertEquals(await searchField(page).inputValue(), found);
  await matches(page).getByText("1 of 1").waitFor();

  await page.goBack();
  await page.getByRole("heading", { name: "Choose a conversation" }).waitFor();
  await hits(page, name).waitFor();
  // Before the search, not letter by letter.
  await page.goBack();
  await results(page).waitFor({ state: "detached" });
  assertEquals(await searchField(page).inputValue(), "");
  assert(await page.getByRole("radio", { name: "All" }).isChecked());
  await page.goForward();
  await hits(page, name).waitFor();
  assertEquals(await searchField(page).inputValue(), found);

  // An address that makes no sense shows the inbox.
  const address = `${world.inbox.info.app_url}#/${world.slug}/inbox`;
  await page.goto(`${address}?status=odd&tag=1&from=never&message=x&platform=fax`);
  await page.getByRole("radio", { name: "Open" }).waitFor();
});

Deno.test("the keyboard reaches every result", async () => {
  const found = word();
  const { name } = await story(2, (number) => ({ content: `${found} ${number}.` }));
  const person = await addPerson({ name: `Keys ${found}` });
  await linkPerson(person, await storyOf(`Keys ${found}`));
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  const field = searchField(page);
  await field.fill(found);
  await heading(page, "Contacts 1").waitFor();
  await heading(page, "Conversations 2").waitFor();
  await heading(page, "Messages 2").waitFor();
  const links = results(page).getByRole("link");
  await field.press("ArrowDown");
  assert(await hasFocus(links.nth(0)), "not on the contact");
  await page.keyboard.press("ArrowUp");
  assert(await hasFocus(field), "not back in the field");
  for (let step = 0; step < 4; step++) await page.keyboard.press("ArrowDown");
  assert(await hasFocus(hits(page, `${found} 1.`)), "not on the first message");
  await page.keyboard.press("End");
  assert(await hasFocus(hits(page, `${found} 0.`)), "not on the last message");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Home");
  assert(await hasFocus(links.nth(0)), "not at the beginning");
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name, level: 2 }).waitFor();
  await highlighted(page).filter({ hasText: `${found} 0.` }).waitFor();
  // To write an answer, the focus moves on; from the results, Escape ends the search.
  await hits(page, `${found} 0.`).focus();
  await page.keyboard.press("Escape");
  await results(page).waitFor({ state: "detached" });
  assertEquals(await field.inputValue(), "");
  assert(await hasFocus(field), "the focus was lost");
  // The arrow key leads into the list, too.
  await field.press("ArrowDown");
  assert(await hasFocus(page.locator(".list-rows a").first()), "not in the list");
});

/** Adds a contact as the owner. */
async function addPerson(person: { name: string; email?: string }): Promise<string> {
  const { client, workspaceId } = world.inbox.team.owner;
  const id = crypto.randomUUID();
  const { error } = await client.from("people").insert({
    id,
    workspace_id: workspaceId,
    ...person,
  });
  assertEquals(error, null);
  return id;
}

/** A conversation of a participant, with one message. */
async function storyOf(name: string, sentAt = minute(0)): Promise<string> {
  return await ingestOne(
    world.inbox.sql,
    bridge,
    conversation({ participant_name: name, messages: [message({ sent_at: sentAt })] }),
  );
}

async function linkPerson(personId: string, conversationId: string): Promise<void> {
  await world.inbox.sql`
    update public.conversations set person_id = ${personId} where id = ${conversationId}`;
}

Deno.test("a contact opens its newest conversation; one without any says so", async () => {
  const found = word();
  const person = await addPerson({ name: `Çelia ${found}` });
  await addPerson({ name: `Lonely ${found}` });
  const old = await storyOf("Old", minute(5));
  const newest = await storyOf("Newest", minute(50));
  await linkPerson(person, old);
  await linkPerson(person, newest);
  await using window = await world.open(world.inbox.team.viewer);
  const { page } = window;
  // Words in any order, without accents.
  await searchField(page).fill(`${found} celia`);
  await heading(page, "Contacts 1").waitFor();
  await searchField(page).fill(found);
  await heading(page, "Contacts 2").waitFor();
  const contacts = group(page, "Contacts");
  await contacts.getByRole("listitem").filter({ hasText: "Lonely" })
    .getByText("No conversation yet").waitFor();
  assertEquals(await contacts.getByRole("link").count(), 1);
  await contacts.getByRole("link", { name: "Çelia" }).click();
  await page.getByRole("heading", { name: `Çelia ${found}`, level: 2 }).waitFor();
  assert(page.url().includes(newest), page.url());
  assertEquals(await searchField(page).inputValue(), found);
});

Deno.test("more results are shown page by page", async () => {
  const found = word();
  for (let number = 0; number < 5; number++) await addPerson({ name: `${found} ${number}` });
  await ingest(
    world.inbox.sql,
    bridge,
    Array.from({ length: 55 }, (_, number) =>
      conversation({
        participant_name: `${found} no ${number}.`,
        messages: [message({ content: `my ${found} ${number}.`, sent_at: minute(number) })],
      })),
  );
  await using window = await world.open(world.inbox.team.viewer);
  const { page } = window;
  await searchField(page).fill(found);
  await heading(page, "Contacts 5").waitFor();
  await heading(page, "Conversations 50+").waitFor();
  await heading(page, "Messages 20+").waitFor();
  const shown = (name: string) => group(page, name).getByRole("listitem").count();
  assertEquals([await shown("Contacts"), await shown("Conversations")], [3, 5]);
  const more = (name: string) => page.getByRole("button", { name: `Show more ${name}` });
  await more("contacts").click();
  await until("showing all contacts", async () => await shown("Contacts") === 5);
  await more("conversations").click();
  await until("showing the first page", async () => await shown("Conversations") === 50);
  await more("conversations").click();
  await heading(page, "Conversations 55").waitFor();
  // A page that cannot be loaded is asked for again.
  await page.route(
    "**/rpc/search_messages",
    (route) => route.fulfill({ status: 400, json: { code: "22023", message: "no" } }),
  );
  await more("messages").click();
  const failed = group(page, "Messages").getByRole("alert");
  await failed.getByText("Couldn't load more").waitFor();
  await page.unroute("**/rpc/search_messages");
  await failed.getByRole("button", { name: "Try again" }).click();
  await heading(page, "Messages 40+").waitFor();
  await more("messages").click();
  await heading(page, "Messages 55").waitFor();
  assertEquals(
    new Set(await group(page, "Messages").getByRole("listitem").allTextContents()).size,
    55,
  );
});

Deno.test("nothing of another workspace is found, and an empty search says where it looked", async () => {
  const found = word();
  const foreign = await createBridge(world.inbox.team.stranger, "telegram");
  await ingestOne(
    world.inbox.sql,
    foreign,
    conversation({
      participant_name: `Foreign ${found}`,
      messages: [message({ content: `a secret ${found}` })],
    }),
  );
  await using window = await world.open(world.inbox.team.owner);
  const { page } = window;
  await searchField(page).fill(found);
  const nothing = page.getByRole("status").filter({ hasText: "Nothing found" });
  await nothing.getByText("Open and closed conversations were searched").waitFor();
  assertEquals(await nothing.getByRole("button").count(), 0);
  await page.getByRole("button", { name: "Clear search" }).click();
  await results(page).waitFor({ state: "detached" });

  await using second = await world.open(world.inbox.team.stranger);
  await searchField(second.page).fill(found);
  await heading(second.page, "Messages 1").waitFor();
  await heading(second.page, "Conversations 1").waitFor();
});

Deno.test("a search that fails or takes long says so, and an earlier one is cancelled", async () => {
  const found = word();
  const { name } = await story(1, () => ({ content: `slow ${found}` }));
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await page.route(
    "**/rpc/search_messages",
    (route) => route.fulfill({ status: 400, json: { code: "57014", message: "no" } }),
  );
  await searchField(page).fill(found);
  const failed = group(page, "Messages").getByRole("alert");
  await failed.getByText("Couldn't search the messages. That took too long.").waitFor();
  await page.unroute("**/rpc/search_messages");
  await failed.getByRole("button", { name: "Try again" }).click();
  await hits(page, name).waitFor();
  await searchField(page).fill("");
  await results(page).waitFor({ state: "detached" });

  const { promise: slowly, resolve: answer } = Promise.withResolvers<void>();
  await page.route("**/rpc/search_messages", async (route) => {
    await slowly;
    await route.continue().catch(() => {/* The page has cancelled it. */});
  });
  const cancelled = page.waitForEvent("requestfailed", {
    predicate: (request) => request.url().endsWith("/rpc/search_messages"),
  });
  await searchField(page).fill(found.slice(0, 8));
  await group(page, "Messages").getByText("Searching…").waitFor();
  await group(page, "Messages").getByText("Still searching").waitFor();
  await searchField(page).fill(found);
  await cancelled;
  answer();
  await hits(page, name).waitFor();
});

Deno.test("where the search in messages is switched off, the results say so", async () => {
  const found = word();
  const { name } = await story(1, () => ({ content: `hidden ${found}` }));
  const { sql, team } = world.inbox;
  const set = (isOn: boolean) =>
    sql`update public.workspaces set has_message_search = ${isOn} where id = ${team.owner.workspaceId}`;
  await set(false);
  try {
    await using window = await world.open(team.agent);
    const { page } = window;
    await searchField(page).fill(name);
    await row(page, name).waitFor();
    await group(page, "Messages").getByText("switched off for this workspace").waitFor();
  } finally {
    await set(true);
  }
});

Deno.test("a reply that is written beside an old message is shown at the end", async () => {
  const found = word();
  const sentAt = Date.now() - 3600_000;
  const { contact, name } = await customer(world, `first ${found}`, { sentAt });
  for (let number = 0; number < 100; number++) {
    const later = { sentAt: sentAt + (number + 1) * 1000 };
    world.inbox.fake.receiveMessage(contact, `line ${number}.`, later);
  }
  await world.inbox.fake.settled();
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await searchField(page).fill(found);
  await hits(page, name).click();
  await highlighted(page).filter({ hasText: found }).waitFor();
  await send(page, "an answer to all of it");
  await bubble(page, "an answer to all of it").getByRole("img", {
    name: /^(Sent|Delivered|Read)$/,
  }).waitFor();
  await bubble(page, "line 99.").waitFor();
  // What is sent later is found by a search of then.
  await searchField(page).fill("answer to all of it");
  await hits(page, name).waitFor();
});

Deno.test("a conversation that is closed or renamed elsewhere changes in the results", async () => {
  const { name, thread } = await customer(world, "hello there");
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  await setStatus(thread, "closed");
  await lookAgain(page);
  await row(page, name).getByText("Closed").waitFor();
  await page.getByRole("button", { name: "Reopen conversation" }).click();
  await row(page, name).getByText("Closed").waitFor({ state: "detached" });
});

for (const colorScheme of ["light", "dark"] as const) {
  for (
    const [device, viewport] of [["desktop", { width: 1280, height: 800 }], ["phone", {
      width: 375,
      height: 720,
    }]] as const
  ) {
    Deno.test(`the search has no accessibility barrier, ${device}, ${colorScheme}`, async () => {
      const found = word();
      const { name, id } = await story(
        120,
        (number) =>
          number % 40 === 0 ? { content: `A long text about a ${found}, ${number}.` } : {},
      );
      await setStatus(id, "closed");
      const person = await addPerson({
        name: `Ana ${found}`,
        email: `${found}@example.com`,
      });
      await addPerson({ name: `Lonely ${found}` });
      await linkPerson(person, await storyOf(`Ana ${found}`));
      await using window = await world.open(world.inbox.team.owner, "/inbox", {
        colorScheme,
        viewport,
        ...(device === "phone" && { hasTouch: true, isMobile: true }),
      });
      const { page } = window;
      const check = async (where: string) => {
        await assertAccessible(page, where);
        await assertNoSidewaysScroll(page);
      };
      const picture = async (what: string) => {
        const folder = Deno.env.get("SEARCH_PICTURES");
        if (folder) {
          await page.screenshot({ path: `${folder}/search-${what}-${device}-${colorScheme}.png` });
        }
      };
      await searchField(page).fill(found);
      await heading(page, "Messages 3").waitFor();
      await heading(page, "Contacts 2").waitFor();
      await check("results");
      await picture("results");
      await page.getByRole("button", { name: "Filters", exact: true }).click();
      await choose(page, "Direction", "From customers");
      await page.getByRole("button", { name: "Remove filter: From customers" }).waitFor();
      await heading(page, "Messages 3").waitFor();
      await check("filters");
      await picture("filters");
      await hits(page, ", 40.").click();
      await highlighted(page).filter({ hasText: ", 40." }).waitFor();
      await matches(page).getByText("2 of 3").waitFor();
      await check("an opened match");
      await picture("opened");
      if (device === "phone") {
        await page.getByRole("link", { name: "Back to the list" }).tap();
        await hits(page, name).first().waitFor();
      }
      await searchField(page).fill(`${found} nothing`);
      await page.getByText("Nothing found").waitFor();
      await check("nothing found");
      await picture("nothing");
    });
  }
}

Deno.test("among many conversations, a word of a first message is found and opened", async () => {
  const { sql, team } = world.inbox;
  const count = size(200, 100_000);
  const prefix = unique("Crowd ");
  const own = await createBridge(team.owner, "signal");
  const found = word();
  for (let first = 0; first < count; first += 1000) {
    await ingest(
      sql,
      own,
      Array.from({ length: Math.min(1000, count - first) }, (_, index) => {
        const number = first + index;
        const at = Date.UTC(2026, 1, 1) + number * 1000;
        return conversation({
          participant_name: `${prefix} ${number}`,
          messages: ["Hello, is anyone there?", "I have a question about my order", "Thank you"]
            .map((content, place) =>
              message({
                content: number === 7 && place === 0 ? `Is the ${found} in stock?` : content,
                sent_at: new Date(at + place).toISOString(),
              })
            ),
        });
      }),
    );
  }
  // As the job of every minute does.
  while (true) {
    const [done] = await sql<{ has_more: boolean }[]>`
      select has_more from public.index_messages(5000, '-1 second')`;
    if (done && !done.has_more) break;
  }
  await using window = await world.open(team.viewer);
  const { page } = window;
  await page.locator(".list-rows a").first().waitFor();
  const measured: Record<string, number> = {};
  // Looked at with every frame: a locator looks twice a second only.
  const appears = (selector: string, text: string) =>
    page.evaluate(`new Promise((resolve) => {
      const look = () =>
        [...document.querySelectorAll(${JSON.stringify(selector)})]
          .some((element) => element.textContent.includes(${JSON.stringify(text)}))
          ? resolve(true)
          : requestAnimationFrame(look);
      look();
    })`);
  const measure = async (what: string, act: () => Promise<void>, shown: () => Promise<unknown>) => {
    const started = performance.now();
    await act();
    await shown();
    measured[what] = Math.round(performance.now() - started);
  };
  await measure(
    "a rare word",
    () => searchField(page).fill(found),
    () => appears(".list-below mark", found),
  );
  await hits(page, `${prefix} 7`).waitFor();
  await measure(
    "opening the message",
    () => hits(page, `${prefix} 7`).click(),
    () => appears("[data-highlighted]", found),
  );
  await highlighted(page).filter({ hasText: found }).waitFor();
  await measure(
    "a word of every conversation",
    () => searchField(page).fill("question order"),
    () => appears(".list-below", "20+"),
  );
  await heading(page, "Messages 20+").waitFor();
  await measure(
    "a name",
    () => searchField(page).fill(prefix),
    () => appears(".list-below", "50+"),
  );
  await heading(page, "Conversations 50+").waitFor();
  if (size(0, 1) === 1) {
    // deno-lint-ignore no-console -- a measurement of the full size
    console.log(
      `${count} conversations, in ms, ${SEARCH_DELAY_MS} of them for the typing:`,
      measured,
    );
  }
});

Deno.test("no key reached the browser, and nothing of this was a fault of the page", async () => {
  await world.settled();
  assert(world.searched() > 100, `only ${world.searched()} answers were looked at`);
  assertEquals(world.leaks, []);
  assertEquals(world.faults, []);
});
