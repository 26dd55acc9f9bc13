/**
 * What `deno task kapso:sync` prints of conversations that are read at the same time.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { createDisplay } from "../../../cli/kapso/sync/display.ts";
import { readOptions } from "../../../cli/kapso/sync/options.ts";
import { createTextReport } from "../../../cli/kapso/sync/report.ts";
import type {
  RunCounts,
  SyncEvent,
} from "../../../supabase/functions/_shared/contracts/kapso_sync.ts";

const RUN_ID = "9d7a3f2c-0000-4000-8000-000000000001";
const counts: RunCounts = {
  run_id: RUN_ID,
  phase: "messages",
  conversations_total: 3,
  conversations_done: 0,
  conversations_failed: 0,
  messages_read: 0,
  messages_added: 0,
  people_created: 0,
  conversations_created: 0,
  statuses_checked: 0,
  sessions_checked: 0,
};
const run = (resumed: boolean): SyncEvent => ({
  type: "run",
  ...counts,
  connection_id: "1",
  phone_number_id: "1",
  workspace: "demo",
  mode: "history",
  messages_per_conversation: null,
  dry_run: false,
  resumed,
});
const conversation = (index: number): SyncEvent => ({
  type: "conversation",
  run_id: RUN_ID,
  index,
  total: 3,
  name: `Customer ${index}`,
  phone: null,
});
const read = (index: number, messages: number): SyncEvent => ({
  type: "conversation_read",
  run_id: RUN_ID,
  index,
  messages,
});
const done = (index: number, messages: number): SyncEvent => ({
  type: "conversation_done",
  run_id: RUN_ID,
  index,
  messages,
  messages_added: messages,
});
const failed = (index: number): SyncEvent => ({
  type: "conversation_failed",
  run_id: RUN_ID,
  index,
  error: "Conversation not found",
});
const progress: SyncEvent = { type: "progress", ...counts };

/** The lines that are printed about events. */
function linesOf(events: SyncEvent[]): string[] {
  const lines: string[] = [];
  const report = createTextReport(
    createDisplay(false, (text) => lines.push(text.trimEnd())),
    () => {},
  );
  const options = readOptions(["demo"], {});
  if (options === "help") throw new Error("the options are a call for help");
  report.begin({ url: "http://127.0.0.1", slug: "demo", numbers: [], options });
  report.beginNumber({ id: "1", connectionId: "1", phoneNumberId: "1" } as never, 1, 1);
  const before = lines.length;
  events.forEach((event) => report.event({ event, text: JSON.stringify(event) }));
  return lines.slice(before);
}

Deno.test("lines of a conversation are below its title, also after lines of others", () => {
  const events = [
    run(false),
    ...[conversation(1), read(1, 100), progress],
    ...[conversation(2), read(2, 100), progress],
    ...[conversation(3), read(3, 5), done(3, 5), progress],
    ...[read(1, 200), progress],
    ...[read(2, 150), done(2, 150), progress],
    ...[read(1, 1000), progress],
    failed(1),
  ];
  assertEquals(linesOf(events), [
    "✓ Total conversations: 3",
    "",
    "[Step 3] Processing conversations...",
    "",
    "[1/3] Processing: Customer 1",
    "  → Fetching messages...",
    "",
    "[2/3] Processing: Customer 2",
    "  → Fetching messages...",
    "",
    "[3/3] Processing: Customer 3",
    "  → Fetching messages...",
    "  → Found 5 messages",
    "  → Importing to Supabase...",
    "  ✓ Success: 5 messages imported",
    "",
    "[2/3] Processing: Customer 2",
    "  → Found 150 messages",
    "  → Importing to Supabase...",
    "  ✓ Success: 150 messages imported",
    "",
    "[1/3] Processing: Customer 1",
    "  → 1000 messages so far...",
    "  ✗ Failed to import conversation: Conversation not found",
  ]);
});

Deno.test("a conversation that is resumed in the next slice is not begun again", () => {
  const events = [
    run(false),
    ...[conversation(1), read(1, 100), progress],
    ...[conversation(2), read(2, 100), progress],
    run(true),
    ...[conversation(1), read(1, 120), done(1, 120), progress],
    ...[conversation(2), read(2, 130), done(2, 130), progress],
  ];
  assertEquals(linesOf(events).filter((line) => /Processing:|Fetching|Found/.test(line)), [
    "[1/3] Processing: Customer 1",
    "  → Fetching messages...",
    "[2/3] Processing: Customer 2",
    "  → Fetching messages...",
    "[1/3] Processing: Customer 1",
    "  → Found 120 messages",
    "[2/3] Processing: Customer 2",
    "  → Found 130 messages",
  ]);
});
