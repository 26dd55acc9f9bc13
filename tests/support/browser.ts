/**
 * The world of the browser tests: one Chromium and one stack with a fake Kapso, a window for each user, and a record
 * of everything that reached a browser.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import axe, { type AxeResults } from "axe-core";
import type { Browser, BrowserContextOptions, Locator, Page, Response } from "playwright-core";
import { type Inbox, type Person, startInbox, threadOf } from "./inbox.ts";
import { size } from "./database.ts";
import { eventually } from "./eventually.ts";
import type { Contact } from "../../fakes/kapso/state.ts";
import { unique } from "./people.ts";
import { launchChromium } from "../../local/chromium.ts";

/** How long a window may take to show what is expected, in milliseconds. */
const TIMEOUT_MS = 30_000;

/** The window of a user. Closes when it is disposed of. */
export interface Window extends AsyncDisposable {
  page: Page;
}

/** The browser, the business it looks at, and what came over the wire. */
export interface BrowserWorld extends AsyncDisposable {
  inbox: Inbox;
  /** Path of the workspace in the app: its slug. */
  slug: string;
  /** Secrets that were found in answers, with the address of the answer. Must stay empty. */
  leaks: string[];
  /** Requests to anywhere but the stack, script errors, and what the content security policy stopped. */
  faults: string[];
  /** How many answers were searched for secrets. */
  searched(): number;
  /** Resolves when all answers so far have been searched. */
  settled(): Promise<void>;
  /** Opens the app as a user, or signed out. */
  open(
    person: Person | undefined,
    path?: string,
    options?: BrowserContextOptions,
  ): Promise<Window>;
}

/** Starts everything; `env` is what the functions get besides. */
export async function startBrowserWorld(
  env: Record<string, string> = {},
): Promise<BrowserWorld> {
  await using stack = new AsyncDisposableStack();
  const browser: Browser = await launchChromium();
  stack.defer(() => browser.close());
  const inbox = stack.use(
    await startInbox({ autoStatus: true, timeScale: 0.2 }, env),
  );
  const { info, fake, team } = inbox;
  const { data } = await team.owner.client.from("workspaces").select("slug")
    .eq("id", team.owner.workspaceId).single();
  const secrets = [
    info.secret_key,
    info.demo.kapso_webhook_secret,
    info.demo.api_key,
    fake.apiKey,
    new URL(info.db_url).password,
  ];
  const leaks: string[] = [];
  const faults: string[] = [];
  const reading = new Set<Promise<void>>();
  let searched = 0;
  const search = (response: Response) => {
    const read = response.text().then((text) => {
      searched++;
      const whole = text + JSON.stringify(response.headers());
      if (secrets.some((secret) => whole.includes(secret))) {
        leaks.push(response.url());
      }
    }, () => {/* It has no body, or the window was closed. */});
    reading.add(read);
    read.finally(() => reading.delete(read));
  };
  const all = stack.move();
  return {
    inbox,
    slug: data!.slug,
    leaks,
    faults,
    searched: () => searched,
    settled: async () => void await Promise.all(reading),
    async open(person, path = "/inbox", options = {}) {
      const context = await browser.newContext({
        viewport: { width: 1280, height: 800 },
        locale: "en-GB",
        ...options,
      });
      context.setDefaultTimeout(TIMEOUT_MS);
      context.on("response", search);
      context.on("request", (request) => {
        const { protocol, origin } = new URL(request.url());
        if (protocol.startsWith("http") && origin !== info.api_url) {
          faults.push(request.url());
        }
      });
      context.on("weberror", (error) => faults.push(String(error.error())));
      context.on("console", (message) => {
        // What a browser says about refused requests is looked at by the tests that make them.
        const text = message.text();
        if (
          message.type() === "error" &&
          !text.startsWith("Failed to load resource")
        ) {
          faults.push(text);
        }
      });
      if (person) {
        const { data } = await person.client.auth.getSession();
        const key = `sb-${new URL(info.api_url).hostname.split(".")[0]}-auth-token`;
        await context.addInitScript(
          ([key, session]) => {
            // A window begins with an empty page, which has no storage.
            if (location.origin !== "null") {
              localStorage.setItem(key!, session!);
            }
          },
          [key, JSON.stringify(data.session)],
        );
      }
      const page = await context.newPage();
      const hash = person ? `#/${data!.slug}${path}` : "";
      await page.goto(info.app_url! + hash);
      return {
        page,
        async [Symbol.asyncDispose]() {
          await Promise.all(reading);
          await context.close();
        },
      };
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** A customer with a name that no other test has, who has written. */
export async function customer(
  { inbox }: BrowserWorld,
  text = "Good morning",
  options: { isUnreachable?: boolean; sentAt?: number } = {},
): Promise<{ contact: Contact; name: string; thread: string }> {
  const name = unique("Rita ");
  const contact = inbox.fake.addContact({
    name,
    ...(options.isUnreachable ? { isUnreachable: true } : {}),
  });
  inbox.fake.receiveMessage(
    contact,
    text,
    options.sentAt === undefined ? {} : { sentAt: options.sentAt },
  );
  await inbox.fake.settled();
  return { contact, name, thread: await threadOf(inbox, contact) };
}

/** Finds a conversation as a person does: by its name, in the search. */
export async function find(page: Page, name: string): Promise<void> {
  await page.getByRole("searchbox", { name: "Search name, number or text" })
    .fill(name);
  // Until the search has come the row may be there already, and still move away under the click.
  await page.getByRole("region", { name: "Conversations" }).getByRole("listitem")
    .filter({ hasNotText: name }).first().waitFor({ state: "hidden" });
  await row(page, name).click();
  await page.getByRole("heading", { name, level: 2 }).waitFor();
}

/** The row of a conversation. */
export function row(page: Page, name: string): Locator {
  return page.getByRole("region", { name: "Conversations" }).getByRole("link", {
    name,
  });
}

/** Bubbles of the open thread with this text. */
export function bubble(page: Page, text: string): Locator {
  return page.getByRole("region", { name: "Messages", exact: true }).getByRole(
    "listitem",
  )
    .filter({ hasText: text });
}

/** The field in which messages are written. */
export function composer(page: Page): Locator {
  return page.getByRole("textbox", { name: "Message", exact: true });
}

/** Writes a message and sends it with Enter. */
export async function send(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  await composer(page).press("Enter");
}

/** Sends the event of a user who returns to the window: the app refreshes. */
export async function lookAgain(page: Page): Promise<void> {
  await page.evaluate(() => void dispatchEvent(new Event("visibilitychange")));
}

/** Waits until something is so, looking again and again; at full size, for as long as that may take. */
export async function until(
  what: string,
  isSo: () => Promise<boolean> | boolean,
): Promise<void> {
  await eventually(what, isSo, { timeoutMs: size(TIMEOUT_MS, 60 * TIMEOUT_MS) });
}

/** Fails where something stands out of the window to the right. */
export async function assertNoSidewaysScroll(page: Page): Promise<void> {
  const { content, window } = await page.locator("html").evaluate((html) => ({
    content: html.scrollWidth,
    window: html.clientWidth,
  }));
  assertEquals(content, window, "the page is wider than the window");
}

/** Fails where axe-core finds what keeps people out, for the part of the page that is named. */
export async function assertAccessible(page: Page, where: string): Promise<void> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() =>
    // deno-lint-ignore no-explicit-any -- axe puts itself there
    (globalThis as any).axe.run({ resultTypes: ["violations"] })
  ) as AxeResults;
  assertEquals(
    violations.filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${where}: ${id}: ${nodes.map((node) => node.html)}`),
    [],
  );
}
