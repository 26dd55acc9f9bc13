/**
 * The inbox in a browser, against a whole stack and a fake Kapso.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import type { Request } from "playwright-core";
import { size } from "../../support/database.ts";
import { samplePicture, sampleRecording } from "../../../fakes/kapso/samples.ts";
import { metaRefusal } from "../../../fakes/kapso/server.ts";
import { conversation, ingest, message } from "../../support/messages.ts";
import { unique } from "../../support/people.ts";
import { createBridge, post } from "../../support/users.ts";
import {
  assertAccessible,
  assertNoSidewaysScroll,
  type BrowserWorld,
  bubble,
  choose,
  composer,
  customer,
  fakeRealtime,
  find,
  lookAgain,
  row,
  send,
  signOut,
  startBrowserWorld,
  until,
  watchReads,
} from "../../support/browser.ts";

/** The curl command of the app is run where there is a curl. */
const HAS_CURL = await new Deno.Command("curl", { args: ["--version"], stdout: "null" }).output()
  .then(({ success }) => success, () => false);

let world: BrowserWorld;
Deno.test.beforeAll(async () => {
  world = await startBrowserWorld();
});
Deno.test.afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

Deno.test("a new user signs in to the demo and sees the next step", async () => {
  await using window = await world.open(undefined);
  const { page } = window;
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "No conversations yet" }).waitFor();
  await page.getByRole("link", { name: "Connect a platform" }).click();
  await page.getByRole("heading", { name: "Connections", level: 1 }).waitFor();
  // A deep link can be loaded again.
  await page.reload();
  await page.getByRole("heading", { name: "Connections", level: 1 }).waitFor();
  await page.getByRole("link", { name: "Overview" }).click();
  await page.getByRole("heading", { name: "No messages in this period" }).waitFor();
  await page.getByText("No replies in this period").waitFor();
  await signOut(page);
  const kept = await page.evaluate(() => JSON.stringify(localStorage));
  assert(!kept.includes("access_token"), "the session outlives the sign-out");
});

Deno.test("a wrong password is explained", async () => {
  await using window = await world.open(undefined);
  const { page } = window;
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Sign in" }).click();
  const alert = page.getByRole("alert");
  await alert.filter({ hasText: "Wrong email or password" }).waitFor();
  await page.route(
    "**/auth/v1/token**",
    (route) =>
      route.fulfill({ status: 429, json: { code: "over_request_rate_limit", message: "no" } }),
  );
  await page.getByRole("button", { name: "Sign in" }).click();
  await alert.filter({ hasText: "Too many attempts" }).waitFor();
});

Deno.test("a message is sent, delivered, read and answered", async () => {
  const { contact, name } = await customer(world, "Are you open on Sunday?");
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  await bubble(page, "Are you open on Sunday?").waitFor();
  // Reading it in the app marks it as read for everyone.
  await row(page, name).getByText("1 unread message").waitFor({
    state: "detached",
  });

  await composer(page).fill("Yes, from nine");
  await composer(page).press("Shift+Enter");
  await composer(page).pressSequentially("to five");
  await composer(page).press("Enter");
  await bubble(page, "Yes, from nine\nto five").waitFor();
  assertEquals(await composer(page).inputValue(), "");
  await bubble(page, "Yes, from nine").getByRole("img", {
    name: /^(Delivered|Read)$/,
  }).waitFor();

  const sent = world.inbox.fake.state.messages.filter((each) =>
    each.direction === "outbound" && each.conversation.contact === contact
  );
  assertEquals(sent.length, 1);
  world.inbox.fake.receiveMessage(contact, "Perfect, see you then", {
    replyTo: sent[0]!,
  });
  await bubble(page, "Perfect, see you then").waitFor();
  // The answer names what it answers.
  await bubble(page, "Perfect, see you then").getByRole("button", {
    name: /^You/,
  }).waitFor();
  world.inbox.fake.react(sent[0]!, "❤️");
  await world.inbox.fake.settled();
  await lookAgain(page);
  await bubble(page, "Yes, from nine").getByText("❤️").waitFor();
});

Deno.test("after a message was sent, what it changed is read once", async () => {
  const { name, thread } = await customer(world);
  await using window = await world.open(world.inbox.team.agent, "/inbox", {
    // Too narrow for the contact, which polls.
    viewport: { width: 1100, height: 800 },
  });
  const { page } = window;
  await page.clock.install();
  const realtime = await fakeRealtime(page);
  await page.reload();
  await find(page, name);
  await row(page, name).getByText("1 unread message").waitFor({ state: "detached" });
  const { reads, settled } = watchReads(page);
  await page.clock.runFor(2_000);
  await settled();
  reads.length = 0;
  // The message is announced before its request is answered, and its status after.
  await page.route("**/functions/v1/inbox/messages", async (route) => {
    const response = await route.fetch();
    realtime.announce(thread);
    await route.fulfill({ response });
    realtime.announce(thread);
  });
  // The clock of the page is slow from here on: however busy the machine is, the app gathers all of it.
  await page.clock.pauseAt(await page.evaluate(() => Date.now() + 1_000));
  await send(page, "once, please");
  const ticks = bubble(page, "once, please").getByRole("img", {
    name: /^(Sent|Delivered|Read)$/,
  });
  await until("it is sent and read again", async () => {
    await page.clock.runFor(5);
    return await ticks.isVisible() && reads.includes("search_conversations") &&
      reads.includes("conversation_messages");
  });
  await page.clock.runFor(2_000);
  await settled();
  assertEquals(reads.toSorted(), [
    "conversation_list",
    "conversation_messages",
    "search_conversations",
  ]);
});

/** The arguments of an SQL function: in the address of a GET, else in the body. Empty for other requests. */
function argumentsOf(request: Request): Record<string, unknown> {
  if (!request.url().includes("/rpc/")) return {};
  return request.method() === "GET"
    ? Object.fromEntries(new URL(request.url()).searchParams)
    : request.postDataJSON();
}

Deno.test("a draft stays with its conversation", async () => {
  const first = await customer(world);
  const second = await customer(world);
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, first.name);
  await composer(page).fill("half a thought");
  await find(page, second.name);
  assertEquals(await composer(page).inputValue(), "");
  await find(page, first.name);
  assertEquals(await composer(page).inputValue(), "half a thought");
});

Deno.test("a draft survives an expired session, but not a sign-out or another user", async () => {
  const { name } = await customer(world);
  const { agent, admin } = world.inbox.team;
  for (const [person, draft] of [[admin, ""], [agent, "half a thought"]] as const) {
    await using window = await world.open(agent);
    const { page } = window;
    await find(page, name);
    await composer(page).fill("half a thought");
    // The session expires in the middle of a sentence.
    await page.route(
      "**/auth/v1/token?grant_type=refresh_token",
      (route) =>
        route.fulfill({ status: 400, json: { code: "refresh_token_not_found", message: "no" } }),
    );
    await page.evaluate(() => {
      const key = Object.keys(localStorage).find((key) => /^sb-.*-auth-token$/.test(key))!;
      const session = JSON.parse(localStorage.getItem(key)!);
      localStorage.setItem(key, JSON.stringify({ ...session, expires_at: 1 }));
    });
    await lookAgain(page);
    const { data } = await person.client.auth.getSession();
    await page.route(
      "**/auth/v1/token?grant_type=password",
      (route) => route.fulfill({ json: data.session! }),
    );
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name, level: 2 }).waitFor();
    assertEquals(await composer(page).inputValue(), draft);
    if (draft === "") continue;
    // The other tests share this session, so it is not ended at the server.
    await page.route("**/auth/v1/logout**", (route) => route.fulfill({ status: 204 }));
    await signOut(page);
    const kept = await page.evaluate(() => JSON.stringify(localStorage));
    assert(!kept.includes(draft), "the draft outlives the sign-out");
  }
});

Deno.test("a long thread is read back to its first message, and few rows are drawn", async () => {
  const { sql, team } = world.inbox;
  const count = size(600, 100_000);
  const name = unique("Long ");
  const bridge = await createBridge(team.owner, "telegram");
  const thread = conversation({ participant_name: name });
  const start = Date.now() - count * 60_000;
  for (let first = 0; first < count; first += 1000) {
    const batch = Array.from(
      { length: Math.min(1000, count - first) },
      (_, index) =>
        message({
          content: `Number ${first + index} of the thread`,
          direction: (first + index) % 3 === 0 ? "outbound" : "inbound",
          sent_at: new Date(start + (first + index) * 60_000).toISOString(),
        }),
    );
    await ingest(sql, bridge, [{ ...thread, messages: batch }]);
  }
  await using window = await world.open(team.viewer);
  const { page } = window;
  await find(page, name);
  await bubble(page, `Number ${count - 1} of the thread`).waitFor();

  const messages = page.getByRole("region", { name: "Messages", exact: true });
  const beginning = page.getByText("Start of the conversation");
  let drawn = 0;
  await until("reaching the first message", async () => {
    await messages.evaluate((element) => element.scrollTo({ top: 0 }));
    drawn = Math.max(drawn, await messages.getByRole("listitem").count());
    return await beginning.isVisible();
  });
  await bubble(page, "Number 0 of the thread").waitFor();
  assert(drawn < 120, `${drawn} rows were drawn at once`);
  await page.getByRole("button", { name: "Jump to newest" }).click();
  await bubble(page, `Number ${count - 1} of the thread`).waitFor();
});

Deno.test("the reading position stays while new messages arrive", async () => {
  const { contact, name } = await customer(world, "the first");
  for (let index = 0; index < 40; index++) {
    world.inbox.fake.receiveMessage(
      contact,
      `line ${String(index).padStart(2, "0")}\nand its second line`,
    );
  }
  await world.inbox.fake.settled();
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  await bubble(page, "line 39").waitFor();
  await page.getByRole("region", { name: "Messages", exact: true })
    .evaluate((element) => element.scrollTo({ top: 200 }));
  await bubble(page, "line 03").waitFor();
  const before = await bubble(page, "line 03").boundingBox();
  world.inbox.fake.receiveMessage(contact, "something new");
  await world.inbox.fake.settled();
  await lookAgain(page);
  await page.getByRole("button", { name: "1 new message" }).waitFor();
  const after = await bubble(page, "line 03").boundingBox();
  assertEquals(Math.round(after!.y), Math.round(before!.y));
  await page.getByRole("button", { name: "1 new message" }).click();
  await bubble(page, "something new").waitFor();
  // A growing field, like a keyboard, does not push the newest message out of sight.
  const below = () =>
    page.getByRole("region", { name: "Messages", exact: true })
      .evaluate((list) => list.scrollHeight - list.scrollTop - list.clientHeight);
  await until("arriving at the end", async () => await below() < 2);
  const field = composer(page);
  const height = (await field.boundingBox())!.height;
  await field.fill("line\n".repeat(6));
  await until("growing", async () => (await field.boundingBox())!.height > height + 50);
  await until("staying at the end", async () => await below() < 2);
});

Deno.test("the list reaches every conversation, and the server searches", async () => {
  const { sql, team } = world.inbox;
  const count = size(160, 100_000);
  const prefix = unique("Many ");
  const bridge = await createBridge(team.owner, "signal");
  for (let first = 0; first < count; first += 1000) {
    const batch = Array.from(
      { length: Math.min(1000, count - first) },
      (_, index) => {
        const number = first + index;
        return conversation({
          participant_name: `${prefix} ${String(number).padStart(6, "0")}`,
          messages: [
            message({
              sent_at: new Date(Date.UTC(2026, 0, 1) + number * 1000)
                .toISOString(),
            }),
          ],
        });
      },
    );
    await ingest(sql, bridge, batch);
  }
  await using window = await world.open(team.viewer);
  const { page } = window;
  const urls: string[] = [];
  page.on("request", (request) => urls.push(request.url()));
  // The newest of a platform, and as deep as rows are still drawn: those far above are not.
  await choose(page, "Platform", "Signal");
  const depth = size(count, 2000);
  const last = row(page, `${prefix} ${String(count - depth).padStart(6, "0")}`);
  const reachLast = () =>
    until("reaching an old conversation", async () => {
      await page.locator(".list-scroll").evaluate((list, depth) => {
        const height = list.querySelector("li")?.clientHeight ?? 0;
        list.scrollTo({ top: depth * height - list.clientHeight });
      }, depth);
      return await last.isVisible();
    });
  await reachLast();
  const drawn = await page.getByRole("region", { name: "Conversations" })
    .getByRole("listitem").count();
  assert(drawn < 60, `${drawn} rows were drawn at once`);
  await page.getByRole("checkbox", { name: "Unread" }).check();
  await last.waitFor({ state: "detached" });
  await reachLast();
  await choose(page, "Assignee", "Unassigned");
  await last.waitFor({ state: "detached" });
  await reachLast();
  // The search reaches them page by page, and the filters stay.
  await page.getByRole("searchbox").fill(prefix);
  await row(page, `${prefix} ${String(count - 1).padStart(6, "0")}`).waitFor();
  const deep = row(page, `${prefix} ${String(count - 150).padStart(6, "0")}`);
  await until("finding an old conversation", async () => {
    const more = page.getByRole("button", { name: "Show more conversations" });
    await more.click({ timeout: 1000 }).catch(() => {/* The next page is being loaded. */});
    return await deep.isVisible();
  });
  // The threads themselves are never asked for by the list.
  assert(
    urls.every((url) => !/\/conversations\?|select=[^&]*messages\b/.test(url)),
  );
  // The arrow keys move through the list.
  await page.getByRole("searchbox").fill(`${prefix} 00000`);
  await page.getByRole("heading", { name: "Conversations 10", exact: true }).waitFor();
  await row(page, `${prefix} 000009`).focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: `${prefix} 000008`, level: 2 })
    .waitFor();
});

Deno.test("what could not be loaded says so and offers a retry", async () => {
  const { sql, team } = world.inbox;
  const prefix = unique("Broken ");
  const bridge = await createBridge(team.owner, "signal");
  const at = (number: number) => new Date(Date.UTC(2026, 0, 2) + number * 60_000).toISOString();
  await ingest(
    sql,
    bridge,
    Array.from({ length: 70 }, (_, number) =>
      conversation({
        // A sign that identifiers do not have, so that a search for it finds the name alone.
        participant_name: `${prefix} n${String(number).padStart(2, "0")}`,
        messages: Array.from(
          { length: number === 69 ? 120 : 1 },
          (_, index) =>
            message({ content: `message ${index}.`, sent_at: at(number * 200 + index) }),
        ),
      })),
  );
  await using window = await world.open(team.viewer);
  const { page } = window;
  let refused = 0;
  const refuse = (url: string, isOlder: (args: Record<string, unknown>) => boolean) =>
    page.route(url, (route) => {
      if (!isOlder(argumentsOf(route.request()))) return route.continue();
      refused++;
      return route.fulfill({ status: 400, json: { code: "22023", message: "no" } });
    });

  await refuse("**/rpc/search_conversations*", (args) => "before_id" in args);
  const rows = page.locator(".list-scroll");
  const filtered = page.waitForResponse((answer) =>
    argumentsOf(answer.request()).platform === "signal"
  );
  await choose(page, "Platform", "Signal");
  await filtered;
  await row(page, `${prefix} n69`).waitFor();
  const toEnd = () => rows.evaluate((list) => list.scrollTo({ top: list.scrollHeight }));
  await toEnd();
  await rows.getByRole("alert").filter({ hasText: "Couldn't load more conversations" }).waitFor();
  // Once, and once more where a poll came in between; not in a loop.
  assert(refused <= 2, `it asked ${refused} times`);
  await page.unroute("**/rpc/search_conversations*");
  await rows.getByRole("button", { name: "Try again" }).click({ timeout: 1000 }).catch(() => {});
  await row(page, `${prefix} n19`).waitFor();
  await until("reaching the last one", async () => {
    await rows.evaluate((list) => {
      const height = list.querySelector("li")?.clientHeight ?? 0;
      list.scrollTo({ top: 70 * height - list.clientHeight });
    });
    return await row(page, `${prefix} n00`).isVisible();
  });

  await refuse("**/rpc/conversation_messages*", (args) => "before" in args);
  await find(page, `${prefix} n69`);
  await bubble(page, "message 119.").waitFor();
  const messages = page.getByRole("region", { name: "Messages", exact: true });
  const toStart = () => messages.evaluate((list) => list.scrollTo({ top: 0 }));
  await toStart();
  const alert = page.getByRole("alert").filter({ hasText: "Couldn't load more messages" });
  await alert.waitFor();
  assert(refused <= 4, `it asked ${refused} times`);
  await page.unroute("**/rpc/conversation_messages*");
  // It may continue at any moment, when the next poll succeeds.
  await alert.getByRole("button", { name: "Try again" }).click({ timeout: 1000 }).catch(() => {});
  await until("reading the first message", async () => {
    await toStart();
    return await bubble(page, "message 0.").isVisible();
  });
});

Deno.test("a message that could not be read at once is read a moment later", async () => {
  const { contact, name } = await customer(world, "first words");
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await page.clock.install();
  await page.reload();
  await find(page, name);
  await bubble(page, "first words").waitFor();
  let refused = 0;
  await page.route("**/rpc/conversation_messages*", (route) => {
    refused++;
    return route.fulfill({ status: 400, json: { code: "P0001", message: "no" } });
  });
  world.inbox.fake.receiveMessage(contact, "second words");
  await world.inbox.fake.settled();
  await lookAgain(page);
  await until("being refused", () => refused > 0);
  await page.unroute("**/rpc/conversation_messages*");
  await page.clock.fastForward(11_000);
  await bubble(page, "second words").waitFor();
});

Deno.test("offline, the app says so and sends a message on retry", async () => {
  const { contact, name } = await customer(world);
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  const notice = page.getByRole("status").filter({ hasText: "You're offline" });
  await page.context().setOffline(true);
  await notice.waitFor();
  await send(page, "written in a tunnel");
  const waiting = bubble(page, "written in a tunnel");
  await waiting.getByText("Can't reach the server").waitFor();
  await page.context().setOffline(false);
  await notice.waitFor({ state: "detached" });
  await waiting.getByRole("button", { name: "Try again" }).click();
  await waiting.getByRole("img", { name: /^(Sent|Delivered|Read)$/ }).waitFor();
  const sent = world.inbox.fake.state.messages.filter((each) =>
    each.direction === "outbound" && each.conversation.contact === contact
  );
  assertEquals(sent.length, 1);
});

Deno.test("a failed message says why, and a retry sends it", async () => {
  const { name } = await customer(world);
  const before = world.inbox.fake.requests.length;
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  // The read receipt goes to Kapso at the same address.
  const { requests } = world.inbox.fake;
  await until(
    "the read receipt",
    () => requests.slice(before).some(({ path }) => /\/messages$/.test(path)),
  );
  world.inbox.fake.misbehaveOn(
    "POST",
    /\/messages$/,
    metaRefusal(131049, "Held back"),
  );
  await send(page, "Can you read this?");
  const failed = bubble(page, "Can you read this?");
  await failed.getByText("WhatsApp held this marketing message back").waitFor();
  await failed.getByText("131049").waitFor();
  await failed.getByRole("img", { name: "Not delivered" }).waitFor();
  await failed.getByRole("button", { name: "Try again" }).click();
  await bubble(page, "Can you read this?").getByRole("img", {
    name: /^(Delivered|Read)$/,
  })
    .waitFor();
  assertEquals(await bubble(page, "Can you read this?").count(), 1);
});

Deno.test("a message that WhatsApp cannot deliver says why, and offers no second try", async () => {
  const { name } = await customer(world, "hello", { isUnreachable: true });
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  await send(page, "Can you read this?");
  const failed = bubble(page, "Can you read this?");
  await failed.getByText("WhatsApp cannot deliver to this number").waitFor();
  assertEquals(
    await failed.getByRole("button", { name: "Try again" }).count(),
    0,
  );
});

Deno.test("a message that never reached the server is sent once, with the same key", async () => {
  const { contact, name } = await customer(world);
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  // The first request gets through and its answer is lost; the second one is refused by the network.
  const keys: string[] = [];
  await page.route("**/functions/v1/inbox/messages", async (route) => {
    keys.push(route.request().postDataJSON().idempotency_key);
    if (keys.length === 1) await route.fetch();
    await route.abort();
  }, { times: 2 });
  await send(page, "only once, please");
  const waiting = bubble(page, "only once, please");
  await waiting.getByRole("button", { name: "Try again" }).waitFor({
    timeout: 3000,
  })
    .catch(() => {/* The outbox may have shown already that it was sent. */});
  const retry = waiting.getByRole("button", { name: "Try again" });
  // The button may disappear at any moment, for the same reason.
  await retry.click({ timeout: 1000 }).catch(() => {});
  await waiting.getByRole("img", { name: /^(Sent|Delivered|Read)$/ }).waitFor();
  assertEquals(new Set(keys).size, 1);
  const sent = world.inbox.fake.state.messages.filter((each) =>
    each.direction === "outbound" && each.conversation.contact === contact
  );
  assertEquals(sent.length, 1);
});

Deno.test("a day after the customer wrote, only a template can be sent", async () => {
  const { fake } = world.inbox;
  fake.addTemplate({
    name: "order_ready",
    language: "en",
    components: [
      { type: "BODY", text: "Hello {{1}}, your order {{2}} is ready." },
      { type: "FOOTER", text: "The shop" },
    ],
  });
  const { contact, name } = await customer(world, "long ago", {
    sentAt: Date.now() - 26 * 3600_000,
  });
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  await page.getByText("over 24 hours since").waitFor();
  assertEquals(await composer(page).count(), 0);
  await page.getByRole("button", { name: "Choose a template" }).click();
  await page.getByRole("button", { name: /order_ready/ }).click();
  await page.getByLabel("Value 1").fill("Rita");
  await page.getByLabel("Value 2").fill("88");
  await page.getByRole("group", { name: "Preview" })
    .getByText("Hello Rita, your order 88 is ready.").waitFor();
  await page.getByRole("button", { name: "Send template" }).click();
  await bubble(page, "your order 88 is ready").waitFor();
  await until(
    "the template",
    () =>
      fake.state.messages.some((each) =>
        each.type === "template" && each.conversation.contact === contact
      ),
  );
});

Deno.test("a conversation is closed and opened again", async () => {
  const { name } = await customer(world);
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  await page.getByRole("button", { name: "Close conversation" }).click();
  await page.getByText("This conversation is closed").waitFor();
  // A search finds it all the same.
  await row(page, name).getByText("Closed").waitFor();
  await page.getByRole("searchbox").fill("");
  await row(page, name).waitFor({ state: "detached" });
  await page.getByRole("radio", { name: "Closed" }).check();
  await row(page, name).waitFor();
  await page.getByRole("button", { name: "Reopen conversation" }).click();
  await row(page, name).waitFor({ state: "detached" });
  await page.getByRole("radio", { name: "Open" }).check();
  await row(page, name).waitFor();
});

Deno.test("a picture, a place, a contact and an order are shown as what they are", async () => {
  const { fake } = world.inbox;
  const { contact, name } = await customer(
    world,
    "look at https://example.com/a?b=1.",
  );
  fake.receiveMessage(contact, {
    type: "image",
    caption: "the jacket",
    bytes: samplePicture("cake", 20),
    mimeType: "image/png",
  });
  fake.receiveMessage(contact, {
    type: "location",
    location: {
      latitude: -6.2,
      longitude: 106.81,
      name: "Home",
      address: "Jl. Merdeka 1",
    },
  });
  fake.receiveMessage(contact, {
    type: "audio",
    transcript: "can you check",
    bytes: sampleRecording(2),
    mimeType: "audio/wav",
  });
  fake.receiveMessage(contact, {
    type: "contacts",
    contacts: [{ name: { formatted_name: "Ana Reis" }, phones: [{ phone: "+351 910 000 006" }] }],
  });
  fake.receiveMessage(contact, {
    type: "order",
    order: {
      product_items: [
        { product_retailer_id: "cake", quantity: 2, item_price: 10.5, currency: "EUR" },
        { product_retailer_id: "candle", quantity: 1, item_price: 4, currency: "EUR" },
      ],
    },
  });
  fake.receiveMessage(contact, { type: "unsupported", unsupported: { type: "poll" } });
  await fake.settled();
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  await bubble(page, "Ana Reis").getByRole("link", { name: "+351 910 000 006" }).waitFor();
  await bubble(page, "2 × cake").getByText("€25.00").waitFor();
  await bubble(page, "This message can't be shown here").waitFor();
  const link = bubble(page, "look at").getByRole("link");
  assertEquals(await link.getAttribute("href"), "https://example.com/a?b=1");
  assertMatch((await link.getAttribute("rel"))!, /noopener/);
  const picture = bubble(page, "the jacket");
  await picture.getByRole("button", { name: /Open the picture/ }).click();
  const shown = page.getByRole("dialog").getByRole("img");
  await until(
    "the picture",
    () => shown.evaluate((image) => "naturalWidth" in image && Number(image.naturalWidth) > 0),
  );
  await page.keyboard.press("Escape");
  await bubble(page, "Jl. Merdeka 1").getByRole("link", {
    name: "Open in a map",
  }).waitFor();
  const audio = bubble(page, "can you check").locator("audio");
  await audio.evaluate((element) => "play" in element && (element.play as () => unknown)());
});

Deno.test("an edited message shows its first text on demand, and a deleted one that it was deleted", async () => {
  const { fake } = world.inbox;
  const { contact, name } = await customer(world, "good morning");
  const edited = fake.receiveMessage(contact, "two cakes please");
  const deleted = fake.receiveMessage(contact, "for my wife");
  await fake.settled();
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  await bubble(page, "for my wife").waitFor();
  fake.receiveMessage(contact, {
    type: "edit",
    edit: {
      original_message_id: edited.id,
      message: { context: { id: edited.id }, type: "text", text: { body: "three cakes please" } },
    },
  });
  fake.receiveMessage(contact, { type: "revoke", revoke: { original_message_id: deleted.id } });
  await fake.settled();

  const bubbleOfEdit = bubble(page, "three cakes please");
  await bubbleOfEdit.waitFor();
  await bubble(page, "This message was deleted").waitFor();
  await row(page, name).getByText("This message was deleted").waitFor();
  // Nowhere: the panel of the contact has a preview, too, and follows Realtime as the list does.
  await page.getByText("for my wife").first().waitFor({ state: "detached", timeout: 10_000 });
  const first = bubbleOfEdit.getByText("two cakes please");
  assertEquals(await first.isVisible(), false);
  const button = bubbleOfEdit.getByRole("button", { name: "Edited" });
  await button.click();
  await first.waitFor();
  await assertAccessible(page, "an edited message");
  await button.click();
  await first.waitFor({ state: "hidden" });
});

Deno.test("files can be dropped on the thread and pasted, one at a time", async () => {
  const { name } = await customer(world, "send me a picture");
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  const picture = [...samplePicture("cake", 20)];
  // As a browser does: it leaves the page for the file unless the event is prevented.
  const hand = (type: "dragover" | "drop" | "paste", names: string[]) =>
    page.evaluate<boolean>(`{
      const files = new DataTransfer();
      for (const name of ${JSON.stringify(names)}) {
        files.items.add(new File([new Uint8Array([${picture}])], name, { type: "image/png" }));
      }
      const options = { bubbles: true, cancelable: true, clipboardData: files, dataTransfer: files };
      const [event, target] = "${type}" === "paste"
        ? [new ClipboardEvent("paste", options), "textarea"]
        : [new DragEvent("${type}", options), ".message-scroll"];
      document.querySelector(target).dispatchEvent(event);
      event.defaultPrevented;
    }`);
  assert(await hand("dragover", ["first.png"]));
  await page.getByText("Drop the file to attach it").waitFor();
  assert(await hand("drop", ["first.png"]));
  await page.getByText("Drop the file to attach it").waitFor({ state: "detached" });
  await page.getByText("first.png").waitFor();
  await page.getByRole("button", { name: "Remove the file" }).click();
  assert(await hand("paste", ["second.png", "third.png"]));
  await page.getByText("only the first was attached").waitFor();
  await page.getByText("second.png").waitFor();
});

Deno.test("a file is sent with its caption, and a reaction is added and removed", async () => {
  const { contact, name } = await customer(world, "do you have a picture?");
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  await page.locator("input[type=file]").setInputFiles({
    name: "cake.png",
    mimeType: "image/png",
    buffer: Buffer.from(samplePicture("cake", 20)),
  });
  await page.getByText("cake.png").waitFor();
  await composer(page).fill("Here it is");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await bubble(page, "Here it is").getByRole("img", { name: /^(Delivered|Read)$/ }).waitFor();
  await bubble(page, "Here it is").getByRole("button", { name: /Open the picture/ }).waitFor();
  const sent = world.inbox.fake.state.messages.filter((each) =>
    each.direction === "outbound" && each.conversation.contact === contact
  );
  assertEquals(sent.map(({ type }) => type), ["image"]);

  const question = bubble(page, "do you have a picture?");
  await question.hover();
  await question.getByRole("button", { name: "React", exact: true }).click();
  await page.getByRole("menuitem", { name: "React with 👍" }).click();
  await question.getByRole("button", { name: "Remove 👍" }).click();
  await question.getByRole("group", { name: "Reactions" }).waitFor({ state: "detached" });
});

Deno.test("the secret of a new connection is shown once, and works with the command beside it", async (test) => {
  const { info, team } = world.inbox;
  const name = unique("Shop ");
  await using window = await world.open(team.admin, "/connections", {
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const { page } = window;
  await page.getByRole("button", { name: "New connection" }).click();
  const dialog = page.getByRole("dialog");
  await choose(dialog, "Platform", "Telegram");
  await dialog.getByLabel("Name").fill(name);
  const connectionId = await dialog.getByLabel("Connection ID").inputValue();
  // The answer is slow, and a hurried user must not lose the secret.
  const { promise: hurried, resolve: answer } = Promise.withResolvers<void>();
  await page.route("**/inbox/connections", async (route) => {
    await hurried;
    await route.continue();
  });
  await dialog.getByRole("button", { name: "Create" }).click();
  await dialog.getByRole("button", { name: "Cancel", disabled: true }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  answer();
  const shown = dialog.getByRole("textbox", { name: "The secret" });
  const secret = await shown.innerText();
  assertMatch(secret, /^msg_[0-9a-f]{32}$/);
  for (let time = 0; time < 3; time++) await page.keyboard.press("Escape");
  await shown.waitFor();
  await dialog.getByRole("button", { name: /^Copy.*Command for a first message/ }).click();
  await dialog.getByRole("button", { name: /^Copied.*Command for a first message/ }).waitFor();
  const command = await page.evaluate<string>("navigator.clipboard.readText()");
  assertEquals(command, await dialog.locator("pre").textContent());
  await dialog.getByRole("button", { name: "I've copied it" }).click();
  const card = page.getByRole("article", { name });
  await card.getByText("Active").waitFor();
  assert(
    !(await page.content()).includes(secret),
    "the secret stays on the page",
  );

  const bridge = { platform: "telegram", connection_id: connectionId, api_key: secret } as const;
  assertEquals((await post(info, bridge, [conversation({ messages: [message()] })])).status, 200);
  await test.step({
    name: "in a terminal, with curl",
    ignore: !HAS_CURL,
    async fn() {
      const { stdout, stderr } = await new Deno.Command("bash", { args: ["-c", command] }).output();
      const said = new TextDecoder().decode(stdout);
      assert(
        said.includes(`"success":true`) && said.includes(`"created"`),
        said + new TextDecoder().decode(stderr),
      );
      await page.getByRole("link", { name: "Inbox" }).click();
      await choose(page, "Platform", "Telegram");
      await page.getByRole("searchbox").fill("John Doe");
      await row(page, "John Doe").first().click();
      await bubble(page, "Hello!").waitFor();
      await page.getByRole("link", { name: "Connections" }).click();
    },
  });

  // Switched off, the bridge is refused.
  await card.getByRole("button", { name: "Switch off" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Switch off" })
    .click();
  await card.getByText("Switched off").waitFor();
  const refused = await post(info, bridge, [conversation({ messages: [message()] })]);
  assertEquals(refused.status, 403);
});

Deno.test("a toast above a dialog can be read and dismissed", async () => {
  const bridge = await createBridge(world.inbox.team.owner, "wechat");
  await using window = await world.open(world.inbox.team.owner, "/connections");
  const { page } = window;
  const card = page.getByRole("article").filter({ hasText: bridge.connection_id });
  await card.getByRole("button", { name: "Rename" }).click();
  await page.route(
    "**/inbox/connections/*",
    (route) =>
      route.fulfill({ status: 503, json: { code: "busy", message: "Nothing was changed." } }),
  );
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByRole("status").filter({ hasText: "Nothing was changed." }).waitFor();
  await page.getByRole("button", { name: "Dismiss" }).click();
  await page.getByText("Nothing was changed.").waitFor({ state: "detached" });
  // It stays where it was said when the dialog goes.
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByText("Nothing was changed.").waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  // The focus is back where the dialog was opened.
  await until(
    "the focus",
    () =>
      card.getByRole("button", { name: "Rename" }).evaluate((button) => button.matches(":focus")),
  );
  await page.getByRole("button", { name: "Dismiss" }).click();
});

Deno.test("a secret is replaced", async () => {
  const { info, team } = world.inbox;
  const bridge = await createBridge(team.owner, "wechat");
  await using window = await world.open(team.owner, "/connections");
  const { page } = window;
  const card = page.getByRole("article").filter({
    hasText: bridge.connection_id,
  });
  await card.getByRole("button", { name: "New secret" }).click();
  await page.getByLabel("Hours until the old secret stops working").fill("0");
  await page.getByRole("button", { name: "Create secret" }).click();
  const secret = await page.getByRole("textbox", { name: "The secret" })
    .innerText();
  assertNotEquals(secret, bridge.api_key);
  const one = [conversation({ messages: [message()] })];
  assertEquals((await post(info, bridge, one)).status, 401);
  assertEquals(
    (await post(info, { ...bridge, api_key: secret }, one)).status,
    200,
  );
});

Deno.test("a backfill runs to 100 %", async () => {
  const { fake, phoneNumber, team } = world.inbox;
  const past = unique("Past ");
  fake.seedHistory({
    conversations: 12,
    messages: 240,
    of: Array.from(
      { length: 12 },
      (_, index) => fake.addContact({ name: `${past} n${index}` }),
    ),
  });
  await using window = await world.open(team.admin, "/connections");
  const { page } = window;
  const card = page.getByRole("article").filter({
    hasText: phoneNumber.phoneNumberId,
  });
  await card.getByRole("button", { name: "Fetch history" }).click();
  await card.getByText("History is complete").waitFor({ timeout: 30_000 });
  await card.getByText("100 %").waitFor();
  await page.getByRole("link", { name: "Inbox" }).click();
  await find(page, `${past} n7`);
});

Deno.test("a viewer reads and cannot write; a stranger sees nothing", async () => {
  const { name, thread } = await customer(world, "for the members alone");
  {
    await using window = await world.open(world.inbox.team.viewer);
    const { page } = window;
    await find(page, name);
    await bubble(page, "for the members alone").waitFor();
    await page.getByText("You have read-only access").waitFor();
    assertEquals(await composer(page).count(), 0);
    assertEquals(
      await page.getByRole("button", { name: "Close conversation" }).count(),
      0,
    );
    await page.getByRole("link", { name: "Connections" }).click();
    await page.getByRole("heading", { name: "Connections", level: 1 }).waitFor();
    assertEquals(
      await page.getByRole("button", { name: "New connection" }).count(),
      0,
    );
  }
  {
    await using window = await world.open(
      world.inbox.team.stranger,
      `/inbox/${thread}`,
    );
    const { page } = window;
    await page.getByRole("heading", { name: "No conversations yet" }).waitFor();
    assert(!(await page.content()).includes(name));
    // The address with their own workspace and the foreign conversation in it.
    const slug = new URL(page.url()).hash.split("/")[1];
    await page.goto(`${world.inbox.info.app_url}#/${slug}/inbox/${thread}`);
    await page.getByRole("heading", { name: "Conversation not found" })
      .waitFor();
    assert(!(await page.content()).includes("for the members alone"));
  }
});

Deno.test("notes and names of a contact are kept", async () => {
  const { name } = await customer(world);
  const renamed = unique("Renamed ");
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await find(page, name);
  const panel = page.getByRole("complementary", { name: "Contact" });
  if (!await panel.isVisible()) {
    await page.getByRole("button", { name: "Show contact" }).click();
  }
  await panel.getByLabel("Add a note").fill("Prefers mornings");
  await panel.getByRole("button", { name: "Add a note" }).click();
  await panel.getByRole("listitem").filter({ hasText: "Prefers mornings" })
    .waitFor();
  await panel.getByRole("button", { name: "Edit" }).click();
  await panel.getByLabel("Name", { exact: true }).fill(renamed);
  await panel.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: renamed, level: 2 }).waitFor();
  // Where there is little room it lies over the thread, and Escape leads back.
  await panel.getByRole("button", { name: "Hide contact" }).click();
  await page.setViewportSize({ width: 1000, height: 700 });
  const show = page.getByRole("button", { name: "Show contact" });
  await show.press("Enter");
  await panel.waitFor();
  await page.keyboard.press("Escape");
  await panel.waitFor({ state: "detached" });
  assert(await show.evaluate((button) => button.matches(":focus")), "the focus was lost");
});

Deno.test("a note that is added while the notes are still being read is there", async () => {
  const { name } = await customer(world);
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  const added = page.waitForResponse((response) =>
    response.request().method() === "POST" && response.url().includes("/person_notes")
  );
  // The first answer is from before the note, and comes after it.
  await page.route(/person_notes.*kind=eq\.note/, async (route) => {
    const response = await route.fetch();
    await added;
    await route.fulfill({ response });
  }, { times: 1 });
  await find(page, name);
  const panel = page.getByRole("complementary", { name: "Contact" });
  await panel.getByLabel("Add a note").fill("Prefers mornings");
  await panel.getByRole("button", { name: "Add a note" }).click();
  await panel.getByRole("listitem").filter({ hasText: "Prefers mornings" }).waitFor();
});

Deno.test("the inbox works on a phone", async () => {
  const { name } = await customer(world, "from my phone to yours");
  await using window = await world.open(world.inbox.team.owner, "/inbox", {
    viewport: { width: 375, height: 720 },
    hasTouch: true,
    isMobile: true,
  });
  const { page } = window;
  await row(page, name).waitFor();
  await assertNoSidewaysScroll(page);
  await find(page, name);
  await bubble(page, "from my phone to yours").waitFor();
  await assertNoSidewaysScroll(page);
  await send(page, "Answered on the way");
  await bubble(page, "Answered on the way").waitFor();
  await page.getByRole("button", { name: "Show contact" }).tap();
  await page.getByRole("complementary", { name: "Contact" }).waitFor();
  await assertNoSidewaysScroll(page);
  await page.getByRole("complementary").getByRole("button", {
    name: "Hide contact",
  }).tap();
  await page.getByRole("link", { name: "Back to the list" }).tap();
  await row(page, name).waitFor();
  for (const path of ["overview", "connections"]) {
    await page.goto(`${world.inbox.info.app_url}#/${world.slug}/${path}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await assertNoSidewaysScroll(page);
  }
});

Deno.test("on a phone, the list keeps its place while a conversation is open", async () => {
  const { sql, team } = world.inbox;
  const prefix = unique("Thumb ");
  const bridge = await createBridge(team.owner, "wechat");
  await ingest(
    sql,
    bridge,
    Array.from({ length: 40 }, (_, number) =>
      conversation({
        participant_name: `${prefix} ${String(number).padStart(2, "0")}`,
        messages: [message()],
      })),
  );
  await using window = await world.open(team.viewer, "/inbox", {
    viewport: { width: 375, height: 720 },
    hasTouch: true,
    isMobile: true,
  });
  const { page } = window;
  const list = page.locator(".list-scroll");
  await choose(page, "Platform", "WeChat");
  await until(
    "showing forty",
    () =>
      list.evaluate((list) =>
        list.scrollHeight >= 40 * (list.querySelector("li")?.clientHeight ?? Infinity)
      ),
  );
  // Tapped while the list is still rolling.
  const name = await page.evaluate<string>(`(async () => {
    document.querySelector(".list-scroll").scrollTo({ top: 1200 });
    for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
    const row = document.elementFromPoint(180, 400).closest("a");
    row.click();
    return row.querySelector(".row-name").textContent;
  })()`);
  await page.getByRole("heading", { name, level: 2 }).waitFor();
  await page.getByRole("region", { name: "Messages", exact: true }).getByRole("listitem").waitFor();
  await page.getByRole("link", { name: "Back to the list" }).tap();
  await row(page, name).waitFor();
  assertEquals(await list.evaluate((list) => list.scrollTop), 1200);
});

for (const colorScheme of ["light", "dark"] as const) {
  Deno.test(`the inbox has no accessibility barrier, ${colorScheme}`, async () => {
    const { contact, name } = await customer(world, "hello");
    world.inbox.fake.receiveMessage(contact, {
      type: "image",
      caption: "a picture",
    });
    await world.inbox.fake.settled();
    await using window = await world.open(world.inbox.team.owner, "/inbox", {
      colorScheme,
    });
    const { page } = window;
    await row(page, name).waitFor();
    const check = (where: string) => assertAccessible(page, where);
    await check("list");
    await find(page, name);
    await send(page, "an answer");
    await bubble(page, "an answer").getByRole("img", {
      name: /^(Delivered|Read)$/,
    }).waitFor();
    await check("thread");
    await page.getByRole("button", { name: "Templates" }).click();
    await page.getByRole("dialog").waitFor();
    await check("templates");
    await page.keyboard.press("Escape");
    await page.getByRole("link", { name: "Overview" }).click();
    await page.getByText("Messages per day").waitFor();
    await check("overview");
    await page.getByRole("link", { name: "Connections" }).click();
    await page.getByRole("article").first().waitFor();
    await check("connections");
    await page.getByRole("button", { name: "New connection" }).click();
    await page.getByRole("dialog").waitFor();
    await check("new connection");
    await page.keyboard.press("Escape");
    await signOut(page);
    await check("sign-in");
  });
}

Deno.test("no key reached the browser, and nothing but the stack was spoken to", async () => {
  await world.settled();
  assert(
    world.searched() > 100,
    `only ${world.searched()} answers were looked at`,
  );
  assertEquals(world.leaks, []);
  assertEquals(world.faults, []);
  const page = await fetch(world.inbox.info.app_url!);
  const policy = page.headers.get("content-security-policy") ?? "";
  assertMatch(policy, /script-src 'self'(;|$)/);
  assertMatch(policy, /frame-ancestors 'none'/);
  assert(
    !/<script(?![^>]*\bsrc=)/.test(await page.text()),
    "there is an inline script",
  );
});
