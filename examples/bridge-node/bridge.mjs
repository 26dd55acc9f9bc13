/** Reads WhatsApp events, one JSON object a line, and sends them in batches. README.md says how to run it. */
import { createReadStream } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { MessagingClient, RefusedError } from "./client.mjs";
import { readEvent } from "./event.mjs";

const BATCH_MESSAGES = 200;
const BATCH_WAIT_MS = 500;

const { SUPABASE_URL, MESSAGING_API_KEY, MESSAGING_CONNECTION_ID } = process.env;
if (!SUPABASE_URL || !MESSAGING_API_KEY || !MESSAGING_CONNECTION_ID) {
  process.stderr.write("Set SUPABASE_URL, MESSAGING_API_KEY and MESSAGING_CONNECTION_ID.\n");
  process.exit(2);
}
const client = new MessagingClient({
  url: SUPABASE_URL,
  key: MESSAGING_API_KEY,
  platform: "whatsapp",
  connectionId: MESSAGING_CONNECTION_ID,
  log: (text) => process.stderr.write(`${text}\n`),
});

/** Reads the events of a file or of standard input. A line that is no JSON is reported and skipped. */
async function* readEvents(path) {
  const input = path ? createReadStream(path) : process.stdin;
  let number = 0;
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    number++;
    if (line.trim() === "") continue;
    try {
      yield JSON.parse(line);
    } catch {
      process.stderr.write(`line ${number} is not JSON: skipped\n`);
    }
  }
}

/** Collects items until there are enough, or the first one has waited long enough. */
async function* inBatches(items, size, waitMs) {
  const iterator = items[Symbol.asyncIterator]();
  const timeIsUp = Symbol("time is up");
  let next = iterator.next();
  for (let isDone = false; !isDone;) {
    const batch = [];
    let timer;
    while (batch.length < size) {
      const item = await (timer ? Promise.race([next, timer]) : next);
      if (item === timeIsUp) break;
      isDone = item.done;
      if (isDone) break;
      batch.push(item.value);
      next = iterator.next();
      timer ??= sleep(waitMs, timeIsUp, { ref: false });
    }
    if (batch.length > 0) yield batch;
  }
}

/** Puts the messages of a batch together by conversation, in their order. */
function groupByConversation(events, names) {
  const conversations = new Map();
  for (const event of events) {
    const read = tryToRead(event, names);
    if (read === undefined) continue;
    const id = read.conversation.external_conversation_id;
    const found = conversations.get(id) ?? { ...read.conversation, messages: [] };
    found.participant_name ??= read.conversation.participant_name;
    found.messages.push(read.message);
    conversations.set(id, found);
  }
  return [...conversations.values()];
}

/** One event that cannot be read must not keep the others from being sent. */
function tryToRead(event, names) {
  try {
    return readEvent(event, names);
  } catch (error) {
    process.stderr.write(`an event was skipped: ${error.name}\n`);
    return undefined;
  }
}

async function main() {
  const names = new Map();
  for await (const { name, phone } of client.people()) {
    if (name && phone) names.set(phone.replace(/\D/g, ""), name);
  }
  process.stdout.write(`${names.size} contacts with a phone number\n`);

  for await (
    const events of inBatches(readEvents(process.argv[2]), BATCH_MESSAGES, BATCH_WAIT_MS)
  ) {
    const conversations = groupByConversation(events, names);
    if (conversations.length === 0) continue;
    const results = await client.ingest(conversations);
    const added = results.reduce((sum, result) => sum + result.messages_added, 0);
    process.stdout.write(`${results.length} conversations, ${added} messages added\n`);
    for (const { conversation_id, status, rejected = [] } of results) {
      // Only this conversation or message was refused, and it would be again. Report it and continue.
      if (status.startsWith("error")) process.stderr.write(`${conversation_id}: ${status}\n`);
      for (const { id, message } of rejected) {
        process.stderr.write(`${conversation_id}, message ${id}: ${message}\n`);
      }
    }
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof RefusedError)) throw error;
  // A repeat would fail again: fix the key or the connection, then start the bridge with the same events.
  process.stderr.write(`stopped: ${error.message}\n`);
  process.exitCode = 1;
}
