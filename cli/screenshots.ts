/**
 * `deno task screenshots`: takes the pictures of the README and of docs/inbox.md. They show a shop whose customers
 * write through a fake Kapso. Needs a Chromium; see local/chromium.ts.
 *
 * @module
 */

import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { logInfo } from "../local/log.ts";
import { DEMO_CONNECTIONS } from "../local/demo.ts";
import { launchChromium } from "../local/chromium.ts";
import type { Content } from "../fakes/kapso/content.ts";
import { type FakeKapso, startFakeKapso } from "../fakes/kapso/fake_kapso.ts";
import { samplePicture, sampleRecording } from "../fakes/kapso/samples.ts";
import type { Contact } from "../fakes/kapso/state.ts";
import { startStack } from "../local/spawn_stack.ts";

const FOLDER = new URL("../docs/images/", import.meta.url);
const DESK = { width: 1280, height: 800 };
const PHONE = { width: 375, height: 720 };

/** What customers wrote; the last one to write is at the end. */
const STORIES: readonly { name: string; phone: string; says: Content[] }[] = [
  { name: "Budi Santoso", phone: "6281290000005", says: ["Good morning", "Is my order 88 ready?"] },
  { name: "Emma Clark", phone: "447700900123", says: ["Thanks, it arrived today 🙂"] },
  {
    name: "João Pereira",
    phone: "351910000003",
    says: [{
      type: "audio",
      transcript: "hello, my order has not arrived yet, can you check",
      bytes: sampleRecording(3),
      mimeType: "audio/wav",
    }],
  },
  {
    name: "Sari Dewi",
    phone: "6281290000001",
    says: ["I'd like to order a cake for Friday", {
      type: "image",
      caption: "Something like this?",
      bytes: samplePicture("cake", 20),
      mimeType: "image/png",
    }],
  },
  {
    name: "Rita Silva",
    phone: "5511988887777",
    says: ["Hi! Do you have this in blue?", {
      type: "image",
      caption: "the jacket",
      bytes: samplePicture("jacket", 215),
      mimeType: "image/png",
    }],
  },
];

await using fake = await startFakeKapso({ rateLimit: null, autoStatus: true });
await using stack = await startStack({
  env: { KAPSO_API_URL: fake.url, KAPSO_API_KEY: fake.apiKey },
});
const app = stack.info.app_url!;
const rita = await fillShop(fake);
const browser = await launchChromium();
try {
  await Deno.mkdir(FOLDER, { recursive: true });
  const page = await open(browser, { viewport: DESK });
  await fetchHistory(page);
  await shoot(page, "connections");
  await converse(page, rita);
  await tag(page, [[rita.name!, "New order"], ["Emma Clark", "VIP"]]);
  await page.locator(".media-box img").last().waitFor();
  await shoot(page, "inbox");
  const address = page.url();

  const dark = await open(browser, { viewport: DESK, colorScheme: "dark" }, address);
  await dark.locator(".media-box img").last().waitFor();
  await shoot(dark, "inbox-dark");

  const phone = await open(
    browser,
    { viewport: PHONE, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
  );
  await shoot(phone, "phone-list");
  await phone.goto(address);
  await phone.locator(".media-box img").last().waitFor();
  await shoot(phone, "phone-thread");

  await page.goto(`${app}#/demo/overview`);
  await page.locator(".recharts-bar-rectangle path").first().waitFor({ state: "attached" });
  await shoot(page, "overview");

  await summarise(page);
  await shoot(page, "summaries");
  await changeWorkflow(page);
  await shoot(page, "workflows");
} finally {
  await browser.close();
}

/** Makes customers write on WhatsApp, Telegram and Signal. @returns the one who wrote last. */
async function fillShop(fake: FakeKapso): Promise<Contact> {
  fake.addWebhook({
    url: `${stack.info.api_url}/functions/v1/kapso-webhook`,
    secretKey: stack.info.demo.kapso_webhook_secret,
    phoneNumber: fake.phoneNumber,
  });
  const text = (content: string, minutesAgo: number) => ({
    id: crypto.randomUUID(),
    direction: "inbound",
    type: "text",
    content,
    media_url: null,
    sent_at: new Date(Date.now() - minutesAgo * 60_000).toISOString(),
  });
  await ingest(DEMO_CONNECTIONS.telegram, {
    external_conversation_id: "tg_1",
    participant_identifier: "@janedoe",
    participant_name: "Jane Doe",
    messages: [text("Do you deliver on Sundays?", 4)],
  });
  await ingest(DEMO_CONNECTIONS.signal, {
    external_conversation_id: "sg_1",
    participant_identifier: "+1987654321",
    participant_name: "Alice",
    messages: [text("The blue one, please", 2)],
  });
  const contacts = STORIES.map(({ name, phone }) => fake.addContact({ name, phone }));
  fake.seedHistory({
    conversations: 6,
    messages: 900,
    of: [...contacts],
    days: 30,
    picturesEvery: 0,
  });
  for (const [index, { says }] of STORIES.entries()) {
    for (const content of says) fake.receiveMessage(contacts[index]!, content);
    await fake.settled();
  }
  return contacts.at(-1)!;
}

/** Sends a conversation as the bridge of a demo connection does. */
async function ingest(
  { platform, connection_id, api_key }: typeof DEMO_CONNECTIONS["telegram" | "signal"],
  conversation: Record<string, unknown>,
): Promise<void> {
  const response = await fetch(`${stack.info.api_url}/functions/v1/messaging-ingest`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": api_key },
    body: JSON.stringify({ platform, connection_id, conversations: [conversation] }),
  });
  const { success } = await response.json();
  if (!success) throw new Error(`messaging-ingest refused ${connection_id}`);
}

/** Opens the app as the demo user, optionally at an address in it. */
async function open(
  browser: Browser,
  options: BrowserContextOptions,
  address?: string,
): Promise<Page> {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  const page = await context.newPage();
  await page.goto(address ?? app);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator(".row").first().waitFor({ state: "attached" });
  return page;
}

/** Fetches the history, so that the overview has something to count. */
async function fetchHistory(page: Page): Promise<void> {
  await page.goto(`${app}#/demo/connections`);
  await page.getByRole("button", { name: "Fetch history" }).click();
  await page.getByText("100 %").waitFor({ timeout: 120_000 });
}

/** Replies to a customer, who replies again. */
async function converse(page: Page, contact: Contact): Promise<void> {
  await page.getByRole("link", { name: "Inbox" }).click();
  await page.locator(".row", { hasText: contact.name! }).click();
  await page.getByRole("textbox", { name: "Message", exact: true })
    .fill("Yes, we do! Shall we keep one for you until Saturday?");
  await page.keyboard.press("Enter");
  const sent = page.locator(".message-out", { hasText: "Shall we keep one" });
  await sent.locator(".ticks-delivered, .ticks-read").waitFor();
  const message = fake.state.messages.findLast(({ direction }) => direction === "outbound")!;
  fake.setStatus(message, "read");
  fake.react(message, "❤️");
  fake.receiveMessage(contact, "That would be great. And in size M?", { replyTo: message });
  await page.locator(".message-in", { hasText: "And in size M?" }).waitFor();
  await sent.locator(".ticks-read").waitFor();
  await page.locator(".media-box img").last().waitFor();
}

/** Adds tags to two conversations, the first of which stays open. */
async function tag(page: Page, contacts: readonly [string, string][]): Promise<void> {
  for (const [contact, tag] of contacts.toReversed()) {
    await page.locator(".row", { hasText: contact }).click();
    await page.getByRole("heading", { name: contact, level: 2 }).waitFor();
    await page.getByRole("button", { name: "Tags", exact: true }).click();
    await page.getByRole("menuitemcheckbox", { name: tag }).click();
    await page.getByRole("button", { name: "Tags: 1 on this conversation" }).waitFor();
    await page.keyboard.press("Escape");
  }
}

/** Creates the summaries of today. */
async function summarise(page: Page): Promise<void> {
  await page.goto(`${app}#/demo/summaries`);
  await page.getByRole("button", { name: "Create summaries for this day" }).click();
  await page.getByRole("article").first().waitFor();
  await page.getByRole("button", { name: "Dismiss" }).click();
}

/** Changes a prompt that is synced to Kapso. */
async function changeWorkflow(page: Page): Promise<void> {
  const prompt =
    "You are Sarah, the assistant of a small shop. Answer in the customer's language, " +
    "kindly and in at most three sentences.\n\nNever promise a price that is not in the list.";
  const { id, name } = fake.state.models[0]!;
  fake.addWorkflow({
    name: "Sarah: answers to customers",
    status: "active",
    nodes: [{
      id: "agent_1730000000000",
      type: "flow-node",
      position: { x: 0, y: 0 },
      data: {
        node_type: "agent",
        display_name: "Agent",
        config: { system_prompt: prompt, provider_model_id: id, provider_model_name: name },
      },
    }],
    edges: [],
  });
  await page.goto(`${app}#/demo/workflows/sarah`);
  const field = page.getByRole("textbox", { name: "System prompt" });
  const save = page.getByRole("button", { name: "Save", exact: true });
  await field.fill(prompt);
  await page.getByLabel("AI model").fill(name);
  await page.getByRole("combobox", { name: "Workflow", exact: true }).click();
  await page.getByRole("option", { name: /^Sarah: answers/ }).click();
  await save.click();
  await page.getByText("Kapso has these values.").waitFor();
  await field.fill(prompt.replace("three", "two"));
  await save.click();
  await page.getByText("Kapso does not have these values yet").waitFor();
  const toasts = page.getByRole("button", { name: "Dismiss" });
  while (await toasts.count() > 0) await toasts.first().click();
  await page.locator("main").evaluate((main) => main.scrollTo(0, 0));
}

async function shoot(page: Page, name: string): Promise<void> {
  await page.mouse.move(0, 0);
  // A closed menu gives the focus back to its button, which then shows its tooltip.
  await page.locator(":focus").evaluateAll((focused) =>
    focused.forEach((element) => (element as unknown as { blur(): void }).blur())
  );
  await page.getByRole("tooltip").waitFor({ state: "detached" });
  await page.locator("img").evaluateAll((images) =>
    Promise.all(images.map((image) => (image as unknown as { decode(): Promise<void> }).decode()))
  );
  // Without the blinking cursor of the focused field.
  await page.screenshot({
    path: decodeURIComponent(new URL(`${name}.png`, FOLDER).pathname),
    caret: "hide",
    animations: "disabled",
  });
  logInfo(`docs/images/${name}.png`);
}
