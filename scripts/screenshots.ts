/**
 * `deno task screenshots`: takes the pictures of the README and of docs/inbox.md, from a demo with a fake
 * Kapso. Needs a Chromium: see tests/browser/chromium.ts.
 *
 * @module
 */

import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { launchChromium } from "../tests/browser/chromium.ts";
import { startStack } from "../tests/support/stack.ts";
import { logInfo } from "../local/log.ts";

const FOLDER = new URL("../docs/images/", import.meta.url);
const DESK = { width: 1280, height: 800 };
const PHONE = { width: 375, height: 720 };

await using stack = await startStack({
  args: ["--ephemeral", "--port", "0", "--with-fake-kapso"],
});
const app = stack.info.app_url!;
const browser = await launchChromium();
try {
  await Deno.mkdir(FOLDER, { recursive: true });
  const page = await open(browser, { viewport: DESK });
  await fetchHistory(page);
  await shoot(page, "messaging");
  await converse(page);
  await shoot(page, "inbox");
  const address = page.url();

  const dark = await open(browser, { viewport: DESK, colorScheme: "dark" }, address);
  await dark.locator(".media-box img").last().waitFor();
  await shoot(dark, "inbox-dark");

  const phone = await open(
    browser,
    { viewport: PHONE, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
  );
  await phone.locator(".row").first().waitFor();
  await shoot(phone, "phone-list");
  await phone.goto(address);
  await phone.locator(".media-box img").last().waitFor();
  await shoot(phone, "phone-thread");

  await page.goto(`${app}#/demo/overview`);
  await page.locator(".recharts-bar-rectangle").first().waitFor();
  await shoot(page, "overview");
} finally {
  await browser.close();
}

/** Opens the app as the demo user, at an address of it. */
async function open(
  browser: Browser,
  options: BrowserContextOptions,
  address?: string,
): Promise<Page> {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  const page = await context.newPage();
  await page.goto(address ?? app);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator(".row").first().waitFor();
  return page;
}

/** Lets the fake's past come in, so that there is something to see. */
async function fetchHistory(page: Page): Promise<void> {
  await page.goto(`${app}#/demo/import/messaging`);
  await page.getByRole("button", { name: "Fetch history" }).click();
  await page.getByText("100 %").waitFor({ timeout: 120_000 });
}

/** Talks with whoever has sent a picture, and waits for the answer. */
async function converse(page: Page): Promise<void> {
  await page.getByRole("link", { name: "Inbox" }).click();
  const row = page.locator(".row", { hasText: /the jacket|Something like this|And in size M/ });
  await row.first().waitFor({ timeout: 120_000 });
  await row.first().click();
  const incoming = page.locator(".message-in");
  await incoming.last().waitFor();
  const before = await incoming.count();
  await page.getByRole("textbox", { name: "Message", exact: true })
    .fill("Yes, we do! Shall we keep one for you until Saturday?");
  await page.keyboard.press("Enter");
  await incoming.nth(before).waitFor({ timeout: 60_000 });
  await page.locator(".ticks-read").last().waitFor({ timeout: 60_000 });
  await page.locator(".media-box img").last().waitFor();
}

async function shoot(page: Page, name: string): Promise<void> {
  await page.mouse.move(0, 0);
  await page.waitForFunction("[...document.images].every((image) => image.complete)");
  // Without the cursor of the field that has the focus, which blinks.
  await page.screenshot({
    path: decodeURIComponent(new URL(`${name}.png`, FOLDER).pathname),
    caret: "hide",
    animations: "disabled",
  });
  logInfo(`docs/images/${name}.png`);
}
