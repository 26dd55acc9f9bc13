/**
 * The page Health in a browser: what owners see of the installation and of their own records, and that others see
 * nothing.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Locator, Page } from "playwright-core";
import {
  assertAccessible,
  assertNoSidewaysScroll,
  type BrowserWorld,
  startBrowserWorld,
  watchReads,
} from "../../support/browser.ts";
import { eventually } from "../../support/eventually.ts";
import type { Person } from "../../support/inbox.ts";
import { uniqueNumber } from "../../support/people.ts";

let world: BrowserWorld;
Deno.test.beforeAll(async () => {
  world = await startBrowserWorld();
});
Deno.test.afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

const ADDRESS = "**/rest/v1/installation_health*";
/** A job that nothing runs on this stack, so that its last run is the one that a test records. */
const IDLE_JOB = "prune-cron-runs";
const IDLE_JOB_TITLE = "Delete old job logs";

/** The checks of a status, under their heading. */
function group(page: Page, name: "Problems" | "Warnings" | "Unknown" | "Working"): Locator {
  return page.getByRole("region", { name, exact: true });
}

/** A check of a status, by its title. */
function check(of: Locator, title: string): Locator {
  return of.getByRole("listitem").filter({
    has: of.page().getByRole("heading", { name: title, level: 3, exact: true }),
  });
}

function summary(page: Page): Locator {
  return page.getByRole("status").filter({ hasText: "Checked" });
}

async function checkAgain(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Check again" }).click();
}

/** Records a run of the idle job: one that failed, or one that succeeded. */
async function recordRun(error: string | null): Promise<void> {
  await world.inbox.sql`select private.record_job_run(${IDLE_JOB}, null, ${error})`;
}

/** Gives a person's workspace a number of which as many events have failed, until it is disposed of. */
async function failEvents(person: Person, amount: number): Promise<AsyncDisposable> {
  const { sql } = world.inbox;
  const number = uniqueNumber().slice(1);
  await sql`
    insert into public.connections (connection_id, workspace_id, user_id, platform, name, phone_number_id)
    values (${`c_${number}`}, ${person.workspaceId}, ${person.id}, 'whatsapp', 'Test', ${number})`;
  await sql`
    insert into private.webhook_events (phone_number_id, body, elements, state)
    select ${number}, '', '[]', 'failed' from generate_series(1, ${amount})`;
  return {
    async [Symbol.asyncDispose]() {
      await sql`delete from private.webhook_events where phone_number_id = ${number}`;
    },
  };
}

Deno.test("an owner finds the page in the account menu, and sees problems appear and go", async () => {
  const { sql, team } = world.inbox;
  await recordRun(null);
  await using window = await world.open(team.owner, "/inbox", { timezoneId: "Asia/Jakarta" });
  const { page } = window;
  await page.getByRole("button", { name: "Account" }).click();
  await page.getByRole("menuitem", { name: "Health" }).click();
  await page.getByRole("heading", { name: "Health", level: 1 }).waitFor();
  await check(group(page, "Working"), "Access rules").getByText("OK", { exact: true }).waitFor();
  assertEquals(await group(page, "Problems").count(), 0);
  assertMatch(await summary(page).innerText(), /^(?:Everything works|No problems)\./);

  await recordRun("SQLSTATE 57014");
  await sql`alter table public.tags disable row level security`;
  // With the keyboard alone.
  await page.getByRole("button", { name: "Check again" }).focus();
  await page.keyboard.press("Enter");
  const job = check(group(page, "Problems"), IDLE_JOB_TITLE);
  await job.getByText("Problem", { exact: true }).waitFor();
  await job.getByText("What to do:").waitFor();
  await check(group(page, "Problems"), "Access rules")
    .getByText(/No row level security on (public\.)?tags\./).waitFor();
  assertMatch(await summary(page).innerText(), /^2 problems/);
  // Problems come before everything else.
  assertEquals(await page.getByRole("heading", { level: 2 }).first().innerText(), "Problems");
  // Times are those of the reader.
  const failedAt = job.locator("time");
  const [run] = await sql<{ at: Date }[]>`
    select max(started_at) as at from private.job_runs where job = ${IDLE_JOB}`;
  const format = new Intl.DateTimeFormat("en-GB", {
    dateStyle: "medium",
    timeStyle: "short",
    timeZone: "Asia/Jakarta",
  });
  assertEquals(await failedAt.innerText(), format.format(run!.at));
  assert(!(await page.locator("main").innerText()).includes("UTC"));

  await recordRun(null);
  await sql`alter table public.tags enable row level security`;
  await checkAgain(page);
  await check(group(page, "Working"), IDLE_JOB_TITLE).waitFor();
  await check(group(page, "Working"), "Access rules").waitFor();
  assertEquals(await group(page, "Problems").count(), 0);
});

Deno.test("the page of connections leads there", async () => {
  await using window = await world.open(world.inbox.team.owner, "/connections");
  const { page } = window;
  await page.getByRole("link", { name: "Health" }).click();
  await summary(page).waitFor();
});

for (const role of ["admin", "agent", "viewer"] as const) {
  Deno.test(`the page is hidden from ${role}s, and asks the server nothing`, async () => {
    await using window = await world.open(world.inbox.team[role], "/connections");
    const { page } = window;
    await page.getByRole("heading", { name: "Connections", level: 1 }).waitFor();
    assertEquals(await page.getByRole("link", { name: "Health" }).count(), 0);
    await page.getByRole("button", { name: "Account" }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).waitFor();
    assertEquals(await page.getByRole("menuitem", { name: "Health" }).count(), 0);
    const { reads, settled } = watchReads(page);
    await page.goto(page.url().replace("/connections", "/health"));
    await page.getByRole("heading", { name: "Health is for owners" }).waitFor();
    await settled();
    assertEquals(await page.getByRole("button", { name: "Check again" }).count(), 0);
    assertEquals(reads.filter((name) => name === "installation_health"), []);
  });
}

Deno.test("owners see what waits in their own workspaces, and nothing of others", async () => {
  const { info, sql, team } = world.inbox;
  await using _theirs = await failEvents(team.stranger, 3);
  await using window = await world.open(team.owner, "/health");
  const { page } = window;
  await check(group(page, "Working"), "Events from Kapso").getByText("0 failed, 0 waiting.")
    .waitFor();
  await using _own = await failEvents(team.owner, 2);
  await checkAgain(page);
  await check(group(page, "Problems"), "Events from Kapso").getByText(/^2 failed, 0 waiting/)
    .waitFor();

  await using other = await world.open(team.stranger);
  const [workspace] = await sql<{ slug: string }[]>`
    select slug from public.workspaces where id = ${team.stranger.workspaceId}`;
  await other.page.goto(`${info.app_url}#/${workspace!.slug}/health`);
  await check(group(other.page, "Problems"), "Events from Kapso")
    .getByText(/^3 failed, 0 waiting/).waitFor();
});

Deno.test("a wrong clock is a warning", async () => {
  await using window = await world.open(world.inbox.team.owner, "/health");
  const { page } = window;
  await summary(page).waitFor();
  assertEquals(await check(page.locator("main"), "Clock").count(), 0);
  await page.clock.setSystemTime(Date.now() + 5 * 60_000);
  const clock = check(group(page, "Warnings"), "Clock");
  // A request during which the clock was changed took so long that it says nothing of the clocks.
  await eventually("the clocks differ", async () => {
    await checkAgain(page);
    return await clock.waitFor({ timeout: 5_000 }).then(() => true, () => false);
  }, { timeoutMs: 60_000 });
  await clock.getByText(/differ by [45] min/i).waitFor();
  await clock.getByText("What to do:").waitFor();
  assertMatch(await summary(page).innerText(), /^1 warning/);
});

Deno.test("while it loads, where it fails, and where nothing comes, the page says so", async () => {
  await using window = await world.open(world.inbox.team.owner, "/inbox");
  const { page } = window;
  const refuse = () =>
    page.route(
      ADDRESS,
      (route) => route.fulfill({ status: 400, json: { code: "57014", message: "canceled" } }),
    );
  const answer = Promise.withResolvers<void>();
  await page.route(ADDRESS, async (route) => {
    await answer.promise;
    await route.fallback();
  });
  await page.goto(page.url().replace("/inbox", "/health"));
  await page.getByRole("status").filter({ hasText: "Loading" }).waitFor();
  assertEquals(await page.getByRole("button", { name: "Check again" }).count(), 0);
  answer.resolve();
  await summary(page).waitFor();

  // What was found stays on the screen.
  await refuse();
  await checkAgain(page);
  await page.getByRole("alert").filter({ hasText: /^Couldn't check again: That took too long/ })
    .waitFor();
  await check(group(page, "Working"), "Access rules").waitFor();

  await page.reload();
  await page.getByRole("alert").filter({ hasText: "Couldn't check the installation." }).waitFor();
  await page.unrouteAll();
  await page.getByRole("button", { name: "Try again" }).click();
  await summary(page).waitFor();

  await page.route(ADDRESS, (route) => route.fulfill({ json: [] }));
  await checkAgain(page);
  await page.getByRole("heading", { name: "No checks to show" }).waitFor();
});

for (const colorScheme of ["light", "dark"] as const) {
  Deno.test(`the page is accessible and fits a phone, ${colorScheme}`, async () => {
    await recordRun("SQLSTATE 57014");
    await using _events = await failEvents(world.inbox.team.owner, 1);
    await using window = await world.open(world.inbox.team.owner, "/health", { colorScheme });
    const { page } = window;
    await page.clock.setSystemTime(Date.now() + 60_000);
    await page.reload();
    await check(group(page, "Problems"), "Events from Kapso").waitFor();
    await check(group(page, "Warnings"), "Clock").waitFor();
    await assertAccessible(page, "health");
    await page.setViewportSize({ width: 375, height: 720 });
    await assertNoSidewaysScroll(page);
    const wide = await page.locator("main").evaluate((main) => main.scrollWidth - main.clientWidth);
    assertEquals(wide, 0, "something stands out at 375 px");
    await assertAccessible(page, "health on a phone");
    await page.getByRole("button", { name: "Account" }).click();
    await page.getByRole("menuitem", { name: "Health" }).waitFor();
    await recordRun(null);
  });
}

Deno.test("no key reached the browser, and it reported no fault", async () => {
  await world.settled();
  assertEquals(world.leaks, []);
  assertEquals(world.faults, []);
});
