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

Deno.test("a message is in two browsers within a second", async () => {
  const { fake, team } = world.inbox;
  const { contact, name } = await customer(world);
  await using reader = await world.open(team.agent);
  await using other = await world.open(team.admin);
  const pages = [reader.page, other.page];
  for (const page of pages) {
    await untilLive(page);
    await row(page, name).click();
    await page.getByRole("heading", { name, level: 2 }).waitFor();
  }
  const times: Record<string, number[]> = { conversation: [], list: [], answer: [] };
  for (let n = 0; n < 20; n++) {
    const text = `message ${n}.`;
    const [conversation, list] = await timeTo(
      () => void fake.receiveMessage(contact, text),
      () => bubble(reader.page, text).waitFor(),
      () => row(other.page, name).getByText(text).waitFor(),
    );
    // The clock of the fake runs ahead, so the answer sorts before the message and is not the preview.
    const [answer] = await timeTo(
      () => void send(reader.page, `answer ${n}.`),
      () => bubble(other.page, `answer ${n}.`).waitFor(),
    );
    times.conversation!.push(conversation!);
    times.list!.push(list!);
    times.answer!.push(answer!);
  }
  const medians = Object.entries(times).map(([place, all]) => [place, Math.round(median(all))]);
  console.log("until others see it, median of 20, in ms:", Object.fromEntries(medians));
  for (const [place, ms] of medians) assert(Number(ms) < size(1_000, 5_000), `${place}: ${ms} ms`);
  assertEquals(world.faults, []);
});

Deno.test("without Realtime a message comes with the next poll, and no error is shown", async () => {
  const { fake, team } = world.inbox;
  const { contact, name } = await customer(world);
  await using window = await world.open(team.agent);
  const { page } = window;
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
  await using window = await world.open(team.agent);
  await untilLive(window.page);
  const { reads, settled } = watchReads(window.page);
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
