/**
 * Live changes in real browsers: a message is in the list and in the open conversation of every member within a
 * second; without Realtime it appears with the next poll, and no error is shown.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Page } from "playwright-core";
import {
  type BrowserWorld,
  bubble,
  customer,
  cuttableRealtime,
  find,
  row,
  send,
  startBrowserWorld,
  until,
  watchReads,
} from "../../support/browser.ts";
import { size } from "../../support/database.ts";

/** Intervals of the app, in milliseconds. */
const THREAD_POLL_MS = 10_000;
const LIST_POLL_MS = 30_000;
/** What a read may take on a busy machine. */
const SLACK_MS = 5_000;

let world: BrowserWorld;
Deno.test.beforeAll(async () => {
  world = await startBrowserWorld();
});
Deno.test.afterAll(async () => {
  await world.settled();
  await world[Symbol.asyncDispose]();
});

/** Resolves when the window has joined its channel. */
async function untilLive(page: Page, reload = true): Promise<void> {
  let isJoined = false;
  page.on("websocket", (socket) =>
    socket.on("framereceived", ({ payload }) => {
      isJoined ||= /workspace:.*phx_reply.*"ok"/.test(String(payload));
    }));
  if (reload) await page.reload();
  await until("the channel is joined", () => isJoined);
}

/** Makes something happen; returns how long each place took to show it, in milliseconds. */
async function timeTo(act: () => void, ...appear: (() => Promise<void>)[]): Promise<number[]> {
  const started = performance.now();
  const shown = appear.map(async (wait) => {
    await wait();
    return performance.now() - started;
  });
  act();
  return await Promise.all(shown);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** Two members look at the same conversation, both with a channel. */
async function openTwice(name: string) {
  await using cleanup = new AsyncDisposableStack();
  const { team } = world.inbox;
  const pages = [];
  for (const person of [team.agent, team.admin]) {
    const { page } = cleanup.use(await world.open(person));
    await untilLive(page);
    await row(page, name).click();
    await page.getByRole("heading", { name, level: 2 }).waitFor();
    pages.push(page);
  }
  const owned = cleanup.move();
  return {
    first: pages[0]!,
    second: pages[1]!,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function assertLive(what: string, times: number[]): void {
  const ms = Math.round(median(times));
  // deno-lint-ignore no-console -- the figure is what this test is for
  console.log(`${what}: ${ms} ms, the median of ${times.length}`);
  assert(ms < size(1_000, 5_000), `${what}: ${ms} ms`);
}

Deno.test("a customer's message is in the browsers of two members within a second", async () => {
  const { contact, name } = await customer(world);
  await using windows = await openTwice(name);
  const { first, second } = windows;
  const times: [number[], number[]] = [[], []];
  for (let n = 0; n < 20; n++) {
    const text = `message ${n}.`;
    const [conversation, list] = await timeTo(
      () => void world.inbox.fake.receiveMessage(contact, text),
      () => bubble(first, text).waitFor(),
      () => row(second, name).getByText(text).waitFor(),
    );
    times[0].push(conversation!);
    times[1].push(list!);
  }
  assertLive("a customer's message in the conversation", times[0]);
  assertLive("a customer's message in the list", times[1]);
  assertEquals(world.faults, []);
});

Deno.test("a member's message is in the browser of another one within a second", async () => {
  const { name } = await customer(world, "Hello", { sentAt: Date.now() - 3_600_000 });
  await using windows = await openTwice(name);
  const { first, second } = windows;
  const times: number[] = [];
  for (let n = 0; n < 20; n++) {
    const text = `answer ${n}.`;
    await send(first, text);
    await bubble(first, text).waitFor();
    const [shown] = await timeTo(() => {}, () => bubble(second, text).waitFor());
    times.push(shown!);
  }
  assertLive("a member's message in the conversation of another", times);
  assertEquals(world.faults, []);
});

Deno.test("without Realtime a message comes with the next poll, and no error is shown", async () => {
  const { fake, team } = world.inbox;
  const { contact, name } = await customer(world);
  await using member = await world.open(team.agent);
  const { page } = member;
  const realtime = await cuttableRealtime(page);
  await untilLive(page);
  await find(page, name);
  realtime.cut();
  const [thread, list] = await timeTo(
    () => void fake.receiveMessage(contact, "polled"),
    () => bubble(page, "polled").waitFor(),
    () => row(page, name).getByText("polled").waitFor(),
  );
  assert(thread! < THREAD_POLL_MS + SLACK_MS, `${thread} ms in the conversation`);
  assert(list! < LIST_POLL_MS + SLACK_MS, `${list} ms in the list`);
  assertEquals(await page.getByRole("alert").allTextContents(), []);
  assertEquals(
    await page.getByRole("status").filter({ hasText: /reach|retry|offline/i }).count(),
    0,
  );

  // It comes back by itself.
  realtime.mend();
  await untilLive(page, false);
  const [live] = await timeTo(
    () => void fake.receiveMessage(contact, "live"),
    () => bubble(page, "live").waitFor(),
  );
  assert(live! < SLACK_MS, `${live} ms`);
  assertEquals(world.faults, []);
});

Deno.test("a stranger's browser hears nothing", async () => {
  const { fake, team } = world.inbox;
  const { contact } = await customer(world);
  await using member = await world.open(team.agent);
  await untilLive(member.page);
  const { reads, settled } = watchReads(member.page);
  const statuses: string[] = [];
  const channel = team.stranger.client
    .channel(`workspace:${team.owner.workspaceId}`, { config: { private: true } })
    .on("broadcast", { event: "*" }, () => void statuses.push("heard"))
    .subscribe((status, error) => void statuses.push(`${status} ${error?.message}`));
  await until("the stranger is refused", () => statuses.length > 0);
  reads.length = 0;
  fake.receiveMessage(contact, "for members");
  await until("the member reads it", () => reads.includes("search_conversations"));
  await settled();
  assert(statuses.every((each) => each.startsWith("CHANNEL_ERROR Unauthorized")), `${statuses}`);
  await team.stranger.client.removeChannel(channel);
});
