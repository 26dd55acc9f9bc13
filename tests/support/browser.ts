/**
 * What the browser tests share: one Chromium and one stack with a fake Kapso, a window for each user, and
 * a record of everything that reached a browser.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import axe, { type AxeResults } from "axe-core";
import type {
  Browser,
  BrowserContextOptions,
  Locator,
  Page,
  Request,
  Response,
  WebSocketRoute,
} from "playwright-core";
import { type Inbox, type Person, startInbox, threadOf } from "./inbox.ts";
import { size } from "./database.ts";
import { eventually } from "./eventually.ts";
import type { Contact } from "../../fakes/kapso/state.ts";
import { unique } from "./people.ts";
import { launchChromium } from "../../local/chromium.ts";

/** How long a window may take to show what is expected, in milliseconds. */
const TIMEOUT_MS = 30_000;
const REALTIME_SOCKET = /\/realtime\/v1\/websocket/;

/** A window of a user. Closes when it is disposed of. */
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
  /** Opens the app as a user, or without a session. */
  open(
    person: Person | undefined,
    path?: string,
    options?: BrowserContextOptions,
  ): Promise<Window>;
}

/** Starts everything; `env` is added to the environment of the functions. */
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

/** A customer who has written, with a name that no other test uses. */
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

/** The field that searches contacts, conversations and messages. */
export function searchField(page: Page): Locator {
  return page.getByRole("searchbox", { name: "Search names, numbers and messages" });
}

/** Finds a conversation as a user does: by its name, in the search. */
export async function find(page: Page, name: string): Promise<void> {
  await searchField(page).fill(name);
  // Before the search has answered the row may be shown already, and move away under the click.
  await page.getByRole("region", { name: "Conversations" }).getByRole("listitem")
    .filter({ hasNotText: name }).first().waitFor({ state: "hidden" });
  await page.getByRole("group", { name: "Search results" }).and(page.locator(":has(li)")).waitFor();
  await row(page, name).click();
  await page.getByRole("heading", { name, level: 2 }).waitFor();
}

/** The row of a conversation, in the list or among the results of a search. */
export function row(page: Page, name: string): Locator {
  return page.getByRole("region", { name: "Conversations" }).getByRole("link", {
    name,
  }).and(page.locator(".conversation-row"));
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

/** Chooses an option of a select field, by its label. */
export async function choose(scope: Page | Locator, field: string, option: string): Promise<void> {
  await scope.getByRole("combobox", { name: field, exact: true }).click();
  const page = "page" in scope ? scope.page() : scope;
  await page.getByRole("option", { name: option, exact: true }).click();
}

/** Signs out with the account menu. */
export async function signOut(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Account" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
}

/** Writes a message and sends it with Enter. */
export async function send(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  await composer(page).press("Enter");
}

/** What a browser reports when the user comes back to the window: the app reads again. */
export async function lookAgain(page: Page): Promise<void> {
  await page.evaluate(() => void dispatchEvent(new Event("visibilitychange")));
}

/** Announces changes in place of Realtime from the next load of the page on, at the moments a test chooses. */
export async function fakeRealtime(page: Page): Promise<{ announce: (thread: string) => void }> {
  const channels: { socket: WebSocketRoute; topic: string }[] = [];
  await page.routeWebSocket(REALTIME_SOCKET, (socket) => {
    socket.onMessage((text) => {
      const [joinRef, ref, topic, event] = JSON.parse(String(text));
      if (event === "phx_join") channels.push({ socket, topic });
      const answer = { status: "ok", response: {} };
      socket.send(JSON.stringify([joinRef, ref, topic, "phx_reply", answer]));
    });
  });
  return {
    announce(thread) {
      for (const { socket, topic } of channels) {
        const event = "conversations_changed";
        const payload = { type: "broadcast", event, payload: { conversation_ids: [thread] } };
        socket.send(JSON.stringify([null, null, topic, "broadcast", payload]));
      }
    },
  };
}

/** The way of a page to Realtime, from its next load on: a test can cut it, as if Realtime were killed. */
export async function cuttableRealtime(page: Page): Promise<{ cut(): void; mend(): void }> {
  const sockets = new Set<WebSocketRoute>();
  let isCut = false;
  await page.routeWebSocket(REALTIME_SOCKET, (socket) => {
    if (isCut) return void socket.close({ code: 1011 });
    socket.connectToServer();
    sockets.add(socket);
  });
  return {
    cut() {
      isCut = true;
      for (const socket of sockets) socket.close({ code: 1011 });
      sockets.clear();
    },
    mend() {
      isCut = false;
    },
  };
}

/** Records which tables and functions the page reads; `settled` resolves when no read is under way. */
export function watchReads(page: Page): { reads: string[]; settled: () => Promise<void> } {
  const reads: string[] = [];
  const open = new Set<Request>();
  page.on("request", (request) => {
    const read = /\/rest\/v1\/(?:rpc\/)?(\w+)/.exec(request.url())?.[1];
    if (read === undefined) return;
    reads.push(read);
    open.add(request);
  });
  const close = (request: Request) => void open.delete(request);
  page.on("requestfinished", close);
  page.on("requestfailed", close);
  return { reads, settled: () => until("the end of all reads", () => open.size === 0) };
}

/** Waits until a condition holds; under `deno task soak` for as long as that may take. */
export async function until(
  what: string,
  isSo: () => Promise<boolean> | boolean,
): Promise<void> {
  await eventually(what, isSo, { timeoutMs: size(TIMEOUT_MS, 60 * TIMEOUT_MS) });
}

/** Fails where the page is wider than the window. */
export async function assertNoSidewaysScroll(page: Page): Promise<void> {
  const { content, window } = await page.locator("html").evaluate((html) => ({
    content: html.scrollWidth,
    window: html.clientWidth,
  }));
  assertEquals(content, window, "the page is wider than the window");
}

/** Fails where axe-core finds a serious barrier; `where` names the part of the page. */
export async function assertAccessible(page: Page, where: string): Promise<void> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() =>
    // deno-lint-ignore no-explicit-any -- axe puts itself there
    (globalThis as any).axe.run(
      // These hold the focus inside an open popup and pass it on at once, so a user never stops at one.
      { exclude: ["[data-base-ui-focus-guard]"] },
      { resultTypes: ["violations"] },
    )
  ) as AxeResults;
  assertEquals(
    violations.filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${where}: ${id}: ${nodes.map((node) => node.html)}`),
    [],
  );
}
