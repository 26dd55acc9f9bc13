import type { Page } from "playwright-core";
import { type BrowserWorld, bubble, customer, fakeRealtime, row, send, startBrowserWorld, until, watchReads } from "../../support/browser.ts";
let world: BrowserWorld;
Deno.test.beforeAll(async () => { world = await startBrowserWorld(); });
Deno.test.afterAll(async () => { await world?.[Symbol.asyncDispose](); });
const TYPES: Record<string, string> = { js: "text/javascript", css: "text/css", html: "text/html", svg: "image/svg+xml" };
const files = new Map<string, Uint8Array>();
async function serve(page: Page, build: string) {
  await page.route("**/app/**", async (route) => {
    const path = new URL(route.request().url()).pathname.slice("/app/".length) || "index.html";
    if (path === "config.json") return route.fallback();
    const key = `${build}/${path}`;
    if (!files.has(key)) files.set(key, await Deno.readFile(key));
    await route.fulfill({ body: files.get(key) as never, contentType: TYPES[path.split(".").at(-1)!] ?? "text/plain" });
  });
}
for (const mode of ["live", "polling"]) for (const build of ["/tmp/app-base", "/tmp/app-new"]) Deno.test(`${mode} ${build}`, async () => {
  const { name, thread } = await customer(world);
  await using window = await world.open(world.inbox.team.agent, "/inbox", { viewport: { width: 1100, height: 800 } });
  const page: Page = window.page;
  await serve(page, build);
  await page.clock.install();
  const realtime = mode === "live" ? await fakeRealtime(page) : { announce() {} };
  await page.reload();
  await page.getByRole("searchbox").fill(name);
  await row(page, name).click();
  await page.getByRole("heading", { name, level: 2 }).waitFor();
  await row(page, name).getByText("1 unread message").waitFor({ state: "detached" });
  const { reads, settled } = watchReads(page);
  await page.clock.runFor(2_000);
  await settled();
  reads.length = 0;
  await page.route("**/functions/v1/inbox/messages", async (route) => {
    const response = await route.fetch();
    realtime.announce(thread);
    await route.fulfill({ response });
    realtime.announce(thread);
  });
  await send(page, "once, please");
  await bubble(page, "once, please").getByRole("img", { name: /^(Sent|Delivered|Read)$/ }).waitFor();
  await until("messages", () => reads.includes("conversation_messages"));
  await page.clock.runFor(mode === "live" ? 2_000 : 1000);
  await settled();
  await page.clock.runFor(100); await settled();
  console.log("READS", mode, build, reads.length, JSON.stringify(reads.toSorted()));
});
Deno.test("open times", async () => {
  const { name } = await customer(world);
  const times: Record<string, Record<string, number[]>> = {};
  for (let round = 0; round < 9; round++) for (const build of ["/tmp/app-base", "/tmp/app-new"]) {
    await using window = await world.open(world.inbox.team.agent, "/inbox", { viewport: { width: 1280, height: 800 } });
    const page: Page = window.page;
    await serve(page, build);
    await page.goto("about:blank");
    const add = (what: string, ms: number) => ((times[build] ??= {})[what] ??= []).push(ms);
    let start = performance.now();
    await page.goto(`${world.inbox.info.app_url!}#/${world.slug}/inbox`, { waitUntil: "commit" });
    await row(page, name).waitFor();
    add("first row", performance.now() - start);
    await page.waitForTimeout(400);
    start = performance.now();
    await row(page, name).click();
    await bubble(page, "Good morning").waitFor();
    add("thread", performance.now() - start);
    await page.goto("about:blank");
    start = performance.now();
    await page.goto(`${world.inbox.info.app_url!}#/${world.slug}/inbox/${page.url() && (await threadId(name))}`, { waitUntil: "commit" });
    await bubble(page, "Good morning").waitFor();
    add("deep link to thread", performance.now() - start);
  }
  for (const [build, of] of Object.entries(times)) for (const [what, list] of Object.entries(of)) {
    list.sort((a, b) => a - b);
    console.log("TIME", build, what, "median", Math.round(list[list.length >> 1]!), "min", Math.round(list[0]!), list.map(Math.round).join(","));
  }
});
async function threadId(name: string) { const { data } = await world.inbox.team.owner.client.from("conversation_list").select("id").eq("participant_name", name).single(); return data!.id; }
