/**
 * Code that the app loads later: a connection that fails for a while does not end the page.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type BrowserWorld, startBrowserWorld } from "../../support/browser.ts";

let world: BrowserWorld;
Deno.test.beforeAll(async () => {
  world = await startBrowserWorld();
});
Deno.test.afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

/** Parts that are loaded when the page is drawn, and one that is loaded when it is opened. */
const LATER = /\/assets\/(?:rail_menus|tag_menu|overview_page)-[\w-]+\.js$/;

Deno.test("code that could not be loaded is asked for again, and the page stays", async () => {
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  const refused: string[] = [];
  await page.route(LATER, async (route) => {
    const name = new URL(route.request().url()).pathname;
    if (refused.filter((each) => each === name).length >= 2) return await route.continue();
    refused.push(name);
    await route.abort("connectionfailed");
  });
  await page.reload();
  await page.getByRole("region", { name: "Conversations" }).waitFor();
  await page.getByRole("link", { name: "Overview" }).click();
  await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  await page.getByRole("button", { name: "Account" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).waitFor();
  assertEquals(refused.length >= 4, true);
});

Deno.test("a page that is opened offline comes as soon as the connection is back", async () => {
  await using window = await world.open(world.inbox.team.agent);
  const { page } = window;
  await page.getByRole("region", { name: "Conversations" }).waitFor();
  await page.context().setOffline(true);
  await page.getByRole("link", { name: "Summaries" }).click();
  await page.getByRole("status").filter({ hasText: "You're offline" }).waitFor();
  await page.context().setOffline(false);
  await page.getByRole("heading", { name: "Summaries", level: 1 }).waitFor();
  assertEquals(await page.getByRole("alert").count(), 0);
});

Deno.test("nothing of this was a fault of the page", () => {
  // A browser says that it is offline; that is all.
  assertEquals(world.faults.filter((fault) => !/WebSocket/u.test(fault)), []);
});
