/**
 * Measures the inbox app in a browser: opening a very long list and a very long conversation, scrolling, and the
 * memory of reading back, beside a short list and a short conversation in the same run.
 *
 * @module
 */

import type { Browser, Page } from "playwright-core";
import type postgres from "postgres";
import { launchChromium } from "../../local/chromium.ts";
import { createContenders, toBatch, truncateAll } from "../contenders.ts";
import { median, quantile } from "../measure.ts";
import { BenchThread } from "../messages.ts";
import { figure } from "../report.ts";
import { type BenchCase, type BenchContext, inWords, openDatabase, repeat } from "./case.ts";

const SHORT = 100;
const BATCH = 500;
const CHUNK = 10_000;
/** Messages to read back before the first and the second measurement of memory. */
const READ_BACK = [2_000, 10_000] as const;
const SCROLLED_ROWS = 2_000;
const NEXT_FRAME = "new Promise((resolve) => requestAnimationFrame(resolve))";

/** Measures the app on a short workspace, and then on a long one. */
export const measureApp: BenchCase = async (context) => {
  const sql = openDatabase(context);
  const browser = await launchChromium();
  try {
    context.note("creating a short workspace");
    await truncateAll(sql);
    const short = await fill(sql, "bench short", SHORT, SHORT);
    const shortTimes = await measureOpening(context, browser, short);
    context.note(`creating ${inWords(context.size)} conversations and messages`);
    await truncateAll(sql);
    const long = await fill(sql, "bench long", context.size, context.size);
    await sql`vacuum analyze`;
    const longTimes = await measureOpening(context, browser, long);
    context.note("scrolling and reading back");
    const scrolling = await measureScrolling(context, browser);
    const memory = await measureMemory(context, browser, long);
    const size = inWords(context.size);
    return [
      figure(
        "app.list.ms",
        `App: list of ${size}, from the address to the first row`,
        longTimes.list,
        "ms",
      ),
      figure(
        "app.list.ratio",
        `App: the same against a list of ${SHORT}`,
        longTimes.list / shortTimes.list,
        "×",
        "≤ 2",
      ),
      figure(
        "app.thread.ms",
        `App: conversation of ${size}, from the click to the newest message`,
        longTimes.thread,
        "ms",
      ),
      figure(
        "app.thread.ratio",
        `App: the same against a conversation of ${SHORT}`,
        longTimes.thread / shortTimes.thread,
        "×",
        "≤ 2",
      ),
      figure(
        "app.scroll.frame.ms",
        `App: 95 of 100 frames while scrolling ${inWords(SCROLLED_ROWS)} rows`,
        scrolling,
        "ms",
      ),
      figure(
        "app.memory.mb",
        `App: memory after reading ${inWords(READ_BACK[0])} messages back`,
        memory.first,
        "MB",
      ),
      figure(
        "app.memory.ratio",
        `App: after ${inWords(READ_BACK[1])} messages, against that`,
        memory.second / memory.first,
        "×",
        "≤ 1.5",
      ),
    ];
  } finally {
    await browser.close();
    await sql.end();
  }
};

/** Creates a conversation to read, and others beside it. @returns its name. */
async function fill(
  sql: postgres.Sql,
  name: string,
  conversations: number,
  messages: number,
): Promise<string> {
  const { ingest } = createContenders(sql);
  const thread = new BenchThread(name);
  for (let count = 0; count < messages; count += BATCH) {
    await ingest(toBatch(thread.next(Math.min(BATCH, messages - count))));
  }
  await sql`
    update public.conversations set participant_name = ${name}, person_id = null
    where external_conversation_id = ${name}`;
  // Loading is not measured, and foreign keys and triggers would triple its time.
  await sql`set session_replication_role = replica`;
  for (let first = 1; first <= conversations; first += CHUNK) {
    await sql`
      insert into public.conversations (workspace_id, user_id, connection_id, platform, external_conversation_id,
        participant_identifier, participant_name, message_count, last_message_at, last_inbound_at,
        last_message_preview, last_message_type, last_message_direction)
      select one.workspace_id, one.user_id, one.connection_id, 'whatsapp', ${name} || number,
        '+6281' || lpad(number::text, 9, '0'), 'Customer ' || number, 1,
        one.last_message_at - number * interval '7 seconds', one.last_message_at - number * interval '7 seconds',
        'Good morning, are you open on Sunday? ' || number, 'text', 'inbound'
      from public.conversations as one,
        generate_series(${first}::integer, ${
      Math.min(conversations, first + CHUNK - 1)
    }::integer) as number
      where one.external_conversation_id = ${name}`;
  }
  await sql`reset session_replication_role`;
  return name;
}

/** Opens the app repeatedly. */
async function measureOpening(context: BenchContext, browser: Browser, thread: string) {
  const page = await signIn(context, browser);
  const samples = { list: [] as number[], thread: [] as number[] };
  for (let round = 0; round < repeat(context, 10); round++) {
    samples.list.push(await inPage(page, () => page.reload(), ".row"));
    const row = page.locator(".row", { hasText: thread }).first();
    samples.thread.push(await inPage(page, () => row.click(), ".message .bubble"));
    await page.goto(`${context.info.app_url}#/demo/inbox`);
  }
  await page.context().close();
  return { list: median(samples.list), thread: median(samples.thread) };
}

/** Measures the milliseconds from an action until a part of the page is there. */
async function inPage(page: Page, act: () => Promise<unknown>, selector: string): Promise<number> {
  const start = performance.now();
  const shown = page.waitForSelector(selector, { state: "visible" });
  await act();
  await shown;
  // The next frame shows what is in the page.
  await page.evaluate(NEXT_FRAME);
  return performance.now() - start;
}

/** Scrolls the list by a step in each frame. @returns The time within which 95 of 100 frames came. */
async function measureScrolling(context: BenchContext, browser: Browser): Promise<number> {
  const page = await signIn(context, browser);
  await page.waitForSelector(".row");
  const frames = await page.locator(".list-scroll").evaluate(
    async (list, rows) => {
      const frames = globalThis as unknown as { requestAnimationFrame(then: () => void): void };
      const durations: number[] = [];
      const goal = rows * 76;
      let last = performance.now();
      while (list.scrollTop < goal && durations.length < 5_000) {
        list.scrollTop += 180;
        await new Promise((resolve) => frames.requestAnimationFrame(() => resolve(null)));
        const now = performance.now();
        durations.push(now - last);
        last = now;
      }
      return durations;
    },
    Math.min(SCROLLED_ROWS, context.size / 2),
  );
  await page.context().close();
  return quantile(frames, 0.95);
}

/** Reads a conversation back. @returns Megabytes of JavaScript memory after a part and after more. */
async function measureMemory(context: BenchContext, browser: Browser, thread: string) {
  const page = await signIn(context, browser);
  await page.locator(".row", { hasText: thread }).first().click();
  await page.waitForSelector(".message .bubble");
  let read = 0;
  page.on("response", async (response) => {
    if (!response.url().includes("conversation_messages")) return;
    read += (await response.json().catch(() => [])).length;
  });
  const session = await page.context().newCDPSession(page);
  const used: number[] = [];
  for (const goal of READ_BACK) {
    while (read < Math.min(goal, context.size * 0.9)) {
      await page.locator(".message-scroll").evaluate((list) => list.scrollTo({ top: 0 }));
      await page.evaluate(NEXT_FRAME);
    }
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    used.push(usedSize / 1e6);
  }
  await page.context().close();
  return { first: used[0]!, second: used[1]! };
}

async function signIn({ info }: BenchContext, browser: Browser): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await page.goto(info.app_url!);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForSelector(".row");
  return page;
}
