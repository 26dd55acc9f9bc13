/**
 * A fake Kapso with a few customers who write and answer. `deno task start --with-fake-kapso` runs it beside the
 * stack, so that people without a Kapso account see live conversations. Runs until it gets SIGINT or SIGTERM.
 *
 * @module
 */

import { print, runCommand } from "../../cli/command.ts";
import { usageError } from "../../cli/command_error.ts";
import { readArguments, wholeNumber } from "../../cli/options.ts";
import type { Content } from "./content.ts";
import { type FakeKapso, type NewContact, startFakeKapso } from "./fake_kapso.ts";
import { samplePicture, sampleRecording } from "./samples.ts";
import type { Contact, Message, PhoneNumber } from "./state.ts";

const HELP = `Runs a fake Kapso whose customers write to a webhook.

Usage: deno run -A fakes/kapso/main.ts --webhook-url <url> [options]

  --webhook-url <url>      where to deliver, e.g. http://127.0.0.1:54321/functions/v1/kapso-webhook
  --secret <text>          secret_key of the webhook (or KAPSO_WEBHOOK_SECRET)
  --phone-number-id <id>   the number of the business (100000000000123)
  --api-key <text>         key the API asks for (or KAPSO_API_KEY)
  --port <number>          where the API listens on 127.0.0.1; 0 is any free port (0)
  --history <messages>     number of older messages, for a history run; 0 for none (1500)
  --pace <seconds>         mean time between two messages of customers (8)
  --seed <number>          the same ids and texts for the same number (a new one each time)
  --json                   print one line of JSON when ready`;

/** What customers write first, and what they answer to replies. */
const STORIES: readonly { opening: Content[]; answers: Content[] }[] = [
  {
    opening: ["Hi! Are you open on Sunday?"],
    answers: ["Great, and until when?", "Perfect, see you then 🙂", "Thanks!"],
  },
  {
    opening: ["Good morning", "I'd like to order a cake for Friday"],
    answers: [
      "Chocolate, for ten people",
      picture("cake", 20, "Something like this?"),
      "Can I pay when I pick it up?",
    ],
  },
  {
    opening: [{
      type: "audio",
      transcript: "hello, my order has not arrived yet, can you check",
      bytes: sampleRecording(3),
      mimeType: "audio/wav",
      filename: "voice.wav",
    }],
    answers: [
      "It is number 88",
      {
        type: "location",
        location: { latitude: -6.2, longitude: 106.81, name: "Home", address: "Jl. Merdeka 1" },
      },
      "Ah, it's here now. Thank you!",
    ],
  },
  {
    opening: ["Do you have this in blue?", picture("jacket", 215, "the jacket")],
    answers: ["And in size M?", "I'll take it", { type: "document", filename: "receipt.pdf" }],
  },
];

/** A picture that a browser can show. */
function picture(
  subject: Parameters<typeof samplePicture>[0],
  hue: number,
  caption: string,
): Content {
  return {
    type: "image",
    caption,
    bytes: samplePicture(subject, hue),
    mimeType: "image/png",
    filename: "picture.png",
  };
}

/** The customers: the same in every run, so that their conversations continue. */
const CUSTOMERS: readonly NewContact[] = [
  { name: "Sari", phone: "6281290000001", bsuid: "ID.1000000001" },
  { name: "Rita Silva", phone: "5511988887777", waId: "551188887777", bsuid: "BR.1000000002" },
  { name: "João", phone: "351910000003", bsuid: "PT.1000000003" },
  { name: "Emma Clark", phone: "447700900123", bsuid: "GB.1000000004" },
  { name: "Budi", phone: "6281290000005", bsuid: "ID.1000000005" },
  // Has a username alone.
  { name: "Ana Reis", phone: null, bsuid: "BR.1000000006", username: "ana.reis" },
];

async function main(args: string[]): Promise<number> {
  const { values } = readArguments({
    args,
    options: {
      "webhook-url": { type: "string" },
      secret: { type: "string" },
      "phone-number-id": { type: "string", default: "100000000000123" },
      "api-key": { type: "string" },
      port: { type: "string", default: "0" },
      history: { type: "string", default: "1500" },
      pace: { type: "string", default: "8" },
      seed: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    print(`${HELP}\n`);
    return 0;
  }
  const url = values["webhook-url"];
  const secret = values.secret ?? Deno.env.get("KAPSO_WEBHOOK_SECRET");
  if (url === undefined) throw usageError("Give --webhook-url.");
  if (!secret) throw usageError("Give --secret, or set KAPSO_WEBHOOK_SECRET.");

  const apiKey = values["api-key"] ?? Deno.env.get("KAPSO_API_KEY");
  const fake = await startFakeKapso({
    port: wholeNumber(values.port, "port", { min: 0, max: 65535 }),
    // A new one for each run: messages with ids that are stored already would count as repeats.
    seed: values.seed === undefined ? Date.now() : wholeNumber(values.seed, "seed", { min: 0 }),
    autoStatus: true,
    ...(apiKey ? { apiKey } : {}),
  });
  const phoneNumber = fake.state.phoneNumbers.get(values["phone-number-id"]) ??
    fake.addPhoneNumber(values["phone-number-id"], "+551130000001");
  const contacts = CUSTOMERS.map((customer) => fake.addContact({ ...customer, phoneNumber }));
  const history = wholeNumber(values.history, "history", { min: 0 });
  if (history > 0) remember(fake, phoneNumber, contacts, history);
  prepare(fake, phoneNumber);
  const webhook = fake.addWebhook({ phoneNumber, url, secretKey: secret });
  const ready = {
    api_url: fake.url,
    api_key: fake.apiKey,
    phone_number_id: phoneNumber.phoneNumberId,
    webhook_id: webhook.id,
  };
  print(
    values.json
      ? `${JSON.stringify(ready)}\n`
      : `Fake Kapso: API at ${fake.url}, ${CUSTOMERS.length} customers, delivering to ${url}\n`,
  );

  play(fake, contacts, Number(values.pace));

  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  await stopped;
  await fake.stop();
  return 0;
}

/** Adds the history of the customers, and of others who no longer write. */
function remember(
  fake: FakeKapso,
  phoneNumber: PhoneNumber,
  contacts: Contact[],
  messages: number,
): void {
  const others = Array.from(
    { length: 34 },
    (_, index) => fake.addContact({ phoneNumber, name: `Earlier customer ${index + 1}` }),
  );
  const of = [...contacts, ...others];
  // Some of them have several conversations.
  fake.seedHistory({ conversations: of.length + 10, messages, of, phoneNumber });
}

/** Adds templates to send and workflows to edit. */
function prepare(fake: FakeKapso, phoneNumber: PhoneNumber): void {
  fake.addTemplate({
    phoneNumber,
    name: "order_ready",
    components: [
      {
        type: "BODY",
        text: "Hi {{1}}, your order {{2}} is ready.",
        example: { body_text: [["Rita", "88"]] },
      },
      { type: "FOOTER", text: "Reply STOP to opt out" },
    ],
  });
  fake.addTemplate({
    phoneNumber,
    name: "spring_sale",
    language: "pt_BR",
    category: "MARKETING",
    components: [{ type: "BODY", text: "Tudo com 20% de desconto até domingo." }],
  });
  const node = (id: string, type: string, config: Record<string, unknown>, y: number) => ({
    id,
    type: "flow-node",
    position: { x: 0, y },
    data: { node_type: type, config },
  });
  fake.addWorkflow({
    name: "Welcome",
    description: "Greets, asks, and hands over to a person",
    status: "active",
    nodes: [
      node("start", "start", {}, 0),
      node("greet", "send_text", { message: "Hi! How can we help?" }, 120),
      node("wait", "wait_for_response", {}, 240),
      node("person", "handoff", {}, 360),
    ],
    edges: [
      { source: "start", target: "greet", label: "next" },
      { source: "greet", target: "wait", label: "next" },
      { source: "wait", target: "person", label: "next" },
    ],
  });
  const [model] = fake.state.models;
  fake.addWorkflow({
    name: "Sarah",
    description: "An AI agent that answers",
    status: "active",
    nodes: [
      node("start", "start", {}, 0),
      node("agent_1730000000000", "agent", {
        system_prompt: "You are Sarah. You answer customers of a bakery.",
        provider_model_id: model!.id,
        provider_model_name: model!.name,
        temperature: 0.7,
        max_iterations: 10,
      }, 120),
    ],
    edges: [{ source: "start", target: "agent_1730000000000", label: "next" }],
  });
  fake.addUser("Maria");
}

/** Makes the customers write. */
function play(fake: FakeKapso, contacts: Contact[], paceSeconds: number): void {
  const { clock, random } = fake;
  /** What each customer still answers. */
  const answers = new Map<Contact, Content[]>();
  const open = (contact: Contact) => {
    const story = random.pick(STORIES);
    answers.set(contact, [...story.answers]);
    story.opening.forEach((content, index) =>
      clock.after(index * 2, () => void fake.receiveMessage(contact, content))
    );
  };
  const answer = (sent: Message) => {
    const { contact } = sent.conversation;
    const next = answers.get(contact)?.shift();
    if (next !== undefined) {
      clock.after(2 + random.below(6), () => void fake.receiveMessage(contact, next));
    } else if (random.below(3) > 0) {
      clock.after(
        1 + random.below(4),
        () => void fake.react(sent, random.pick(["👍", "❤️", "🙏"])),
      );
    }
  };

  contacts.slice(0, 3).forEach((contact, index) => clock.after(index, () => open(contact)));
  const later = () => {
    clock.after(paceSeconds * (0.5 + random.next()), () => {
      const contact = random.pick(contacts);
      const left = answers.get(contact)?.length ?? 0;
      // A customer who waits for a reply asks again from time to time.
      if (left === 0) open(contact);
      else if (random.below(4) === 0) {
        fake.receiveMessage(contact, random.pick(["?", "Hello?", "🙂"]));
      } else {fake.businessAppMessage(
          contact,
          random.pick(["One moment, please", "Of course!", "Yes"]),
        );}
      later();
    });
  };
  later();

  // The customers answer each message of the business, from any device.
  let seen = 0;
  const listen = () => {
    clock.after(0.5, () => {
      for (const { event, body } of fake.events.slice(seen)) {
        if (event !== "whatsapp.message.sent") continue;
        const { id, type } = body.message as { id: string; type: string };
        const sent = fake.state.messagesById.get(id);
        if (sent !== undefined && type !== "reaction") answer(sent);
      }
      seen = fake.events.length;
      listen();
    });
  };
  listen();
}

// Not awaited: a module that is preloaded to watch for its parent starts when this module has loaded.
if (import.meta.main) void runCommand("deno run -A fakes/kapso/main.ts", main);
