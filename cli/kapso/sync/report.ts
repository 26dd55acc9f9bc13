/**
 * The report of a sync, step by step.
 *
 * @module
 */

import type {
  RunCounts,
  RunEvent,
  SyncEvent,
} from "../../../supabase/functions/_shared/contracts/kapso_sync.ts";
import type { Display } from "./display.ts";
import type { SyncOptions } from "./options.ts";
import { type Outcome, progressOf } from "./run.ts";
import type { Line } from "./sync_client.ts";
import type { KapsoNumber } from "./sync_target.ts";
import { describeContact, safeText } from "./text.ts";

/** Receives what happens, in order. */
export interface Report {
  /** Before the first request to the function. `slug` and `numbers` are unknown if nothing was found. */
  begin(about: {
    url: string;
    slug: string | undefined;
    numbers: KapsoNumber[];
    options: SyncOptions;
  }): void;
  workspaceFound(workspaceId: string): void;
  beginNumber(number: KapsoNumber, place: number, count: number): void;
  event(line: Line): void;
  note(text: string): void;
  endNumber(number: KapsoNumber, outcome: Outcome): void;
  end(outcomes: Outcome[]): void;
  /** Ends the display, after success and after failure. */
  close(): void;
}

/** The report for programs: the events as they came. The rest is notes. */
export function createJsonReport(
  write: (text: string) => void,
  note: (text: string) => void,
): Report {
  return {
    begin() {},
    workspaceFound() {},
    beginNumber() {},
    event: ({ text }) => write(`${text}\n`),
    note: (text) => note(`${text}\n`),
    endNumber(number, { problem }) {
      if (problem) note(`${number.phoneNumberId}: ${problem}\n`);
    },
    end() {},
    close() {},
  };
}

/** Messages of a long conversation after which the report prints another line. */
const MESSAGES_PER_LINE = 1_000;

/**
 * The report for people.
 *
 * @param display Shows the report.
 * @param complain Prints errors, apart from the report.
 */
export function createTextReport(display: Display, complain: (text: string) => void): Report {
  const print = (...lines: string[]) => lines.forEach((line) => display.line(line));
  let isDryRun = false;
  let conversations: NumberReport | undefined;
  return {
    begin({ url, slug, numbers, options }) {
      isDryRun = options.isDryRun;
      const phones = numbers.map(({ phoneNumberId }) => phoneNumberId).join(", ");
      print(
        "=== Kapso Historical Data Sync ===",
        "",
        `Workspace: ${safeText(slug ?? options.workspace ?? "(not given)")}`,
        `Supabase URL: ${url}`,
        ...(phones === "" ? [] : [`Phone Number ID${numbers.length > 1 ? "s" : ""}: ${phones}`]),
        `Messages per conversation: ${options.messages}`,
        ...(options.since === undefined ? [] : [`Since: ${options.since}`]),
        ...(isDryRun ? ["Dry run: nothing is stored"] : []),
        "",
        "[Step 1] Getting workspace from Supabase...",
      );
    },
    workspaceFound: (id) => print(`✓ Workspace found: ${id}`),
    beginNumber({ connectionId, phoneNumberId }, place, count) {
      if (count > 1) {
        const name = `${phoneNumberId}, ${safeText(connectionId)}`;
        print("", `--- Number ${place} of ${count}: ${name} ---`);
      }
      print("", "[Step 2] Fetching all conversations from Kapso...");
      conversations = new NumberReport(display, isDryRun);
    },
    event: ({ event }) => conversations!.event(event),
    note: (text) => print(text),
    endNumber({ phoneNumberId }, { kind, counts, problem }) {
      display.clear();
      if (kind === "done" && counts && isEmpty(counts)) return print("", ...nothing(phoneNumberId));
      if (counts && kind !== "failed") {
        const how = kind === "stopped" ? "Stopped" : "Complete";
        print("", `=== ${isDryRun ? "Dry Run" : "Sync"} ${how} ===`, "");
        print(...summary([counts], isDryRun), "", closing(kind, counts, isDryRun));
      }
      if (kind === "stopped" && !counts) print("", "Stopped before the run began.");
      if (problem !== undefined) {
        const where = kind === "failed" && counts && counts.conversations_total > 0
          ? `\nSo far ${progressOf(counts)}; run it again to resume there.`
          : "";
        complain(`\n✗ ${problem}${isDryRun ? "" : where}\n`);
      }
    },
    end(outcomes) {
      if (outcomes.length < 2) return;
      const counts = outcomes.flatMap((outcome) => outcome.counts ?? []);
      print(
        "",
        "=== All Numbers ===",
        "",
        `Numbers: ${outcomes.length}`,
        `Complete: ${outcomes.filter(({ kind }) => kind === "done").length}`,
        ...summary(counts, isDryRun),
      );
    },
    close: () => display.clear(),
  };
}

/** The lines about the conversations of one number. */
class NumberReport {
  readonly #display: Display;
  readonly #isDryRun: boolean;
  /** The beginning of a slice, until it is known whether this command started it. */
  #begun: RunEvent | undefined;
  #runId: string | undefined;
  #pages = 0;
  #hasSteps = false;
  /** The conversation whose lines are being printed. */
  #index = 0;
  /** Conversations that are being read, by index: several are read at the same time. */
  readonly #open = new Map<number, { title: string; lineAt: number }>();
  #position = { done: 0, total: 0, messages: 0 };

  constructor(display: Display, isDryRun: boolean) {
    this.#display = display;
    this.#isDryRun = isDryRun;
  }

  event(event: SyncEvent): void {
    if (event.type === "run") {
      this.#begun = event;
      return;
    }
    if (this.#begun && event.type !== "busy") this.#introduce(this.#begun);
    switch (event.type) {
      case "conversations_page":
        this.#page(event.conversations);
        break;
      case "conversations":
        this.#print(`✓ Total conversations: ${event.total}`);
        break;
      case "conversation":
        this.#conversation(event);
        break;
      case "conversation_read":
        this.#read(event.index, event.messages);
        break;
      case "conversation_done":
        this.#return(event.index);
        this.#open.delete(event.index);
        this.#print(`  → Found ${event.messages} messages`);
        this.#print(
          ...(this.#isDryRun
            ? [`  ✓ Dry run: ${event.messages_added} messages would be imported`]
            : [
              "  → Importing to Supabase...",
              `  ✓ Success: ${event.messages_added} messages imported`,
            ]),
        );
        break;
      case "conversation_failed":
        this.#return(event.index);
        this.#open.delete(event.index);
        this.#print(`  ✗ Failed to import conversation: ${safeText(event.error)}`);
        break;
      default:
        this.#move(event);
    }
  }

  #introduce(run: RunEvent): void {
    this.#begun = undefined;
    if (this.#runId === run.run_id) return;
    if (this.#runId !== undefined) {
      this.#print("", "The run starts over.");
      this.#pages = this.#index = 0;
      this.#open.clear();
      this.#hasSteps = false;
    }
    this.#runId = run.run_id;
    if (run.resumed && run.conversations_total > 0) {
      this.#print(`Resuming where the last run stopped: ${progressOf(run)}`);
    }
    if (run.phase !== "conversations") {
      this.#print(`✓ Total conversations: ${run.conversations_total}`);
    }
    this.#move(run);
  }

  /** The function reads the list until it finds nothing new, so an empty page at the end gets no line. */
  #page(count: number): void {
    if (count === 0 && (this.#pages > 0 || this.#position.total > 0)) return;
    this.#pages++;
    this.#print(
      `[Kapso] Fetching conversations page ${this.#pages}...`,
      `[Kapso] Page ${this.#pages}: ${count} conversations`,
    );
  }

  #conversation(event: SyncEvent & { type: "conversation" }): void {
    // It resumes in the middle of a conversation.
    if (this.#open.has(event.index)) return;
    if (!this.#hasSteps) this.#print("", "[Step 3] Processing conversations...");
    this.#hasSteps = true;
    const contact = describeContact(event.name, event.phone);
    const title = `[${event.index}/${event.total}] Processing: ${contact}`;
    this.#open.set(event.index, { title, lineAt: MESSAGES_PER_LINE });
    this.#return(event.index);
    this.#print("  → Fetching messages...");
    this.#position.total = event.total;
    this.#display.progress(this.#position);
  }

  #read(index: number, messages: number): void {
    const conversation = this.#open.get(index);
    if (conversation === undefined || messages < conversation.lineAt) return;
    this.#return(index);
    this.#print(`  → ${messages} messages so far...`);
    conversation.lineAt = messages + MESSAGES_PER_LINE;
  }

  /** Prints the title of a conversation, unless its lines are the last ones. */
  #return(index: number): void {
    const conversation = this.#open.get(index);
    if (conversation === undefined || index === this.#index) return;
    this.#index = index;
    this.#print("", conversation.title);
  }

  #move(counts: RunCounts): void {
    this.#position = {
      done: counts.conversations_done + counts.conversations_failed,
      total: counts.conversations_total,
      messages: counts.messages_added,
    };
    if (this.#hasSteps) this.#display.progress(this.#position);
  }

  #print(...lines: string[]): void {
    for (const line of lines) this.#display.line(line);
  }
}

function isEmpty(counts: RunCounts): boolean {
  return counts.conversations_total === 0 && counts.messages_read === 0;
}

function nothing(phoneNumberId: string): string[] {
  return [
    "No conversations found in Kapso. Check",
    `  - that the Phone Number ID ${phoneNumberId} is the right one,`,
    "  - that the Kapso API key may read its conversations,",
    "  - that there are WhatsApp conversations in Kapso; with --since, active ones since then.",
  ];
}

function summary(counts: RunCounts[], isDryRun: boolean): string[] {
  const sum = (name: Exclude<keyof RunCounts, "run_id" | "phase">) =>
    counts.reduce((total, one) => total + one[name], 0);
  return [
    `Total conversations: ${sum("conversations_total")}`,
    `Successfully processed: ${sum("conversations_done")}`,
    `Failed: ${sum("conversations_failed")}`,
    ...(isDryRun ? [`Messages to import: ${sum("messages_added")}`] : [
      `Messages imported: ${sum("messages_added")}`,
      `Contacts created: ${sum("people_created")}`,
      `Conversations created: ${sum("conversations_created")}`,
    ]),
  ];
}

function closing(kind: Outcome["kind"], counts: RunCounts, isDryRun: boolean): string {
  if (isDryRun) {
    return kind === "stopped"
      ? "The dry run was stopped. The next one starts over."
      : "✓ Dry run complete: nothing was stored.";
  }
  switch (kind) {
    case "done":
      return "✓ Historical data sync complete!";
    case "partial":
      return "⚠ Some conversations failed. Run it again to retry them: nothing is imported twice.";
    default:
      return `Stopped where ${progressOf(counts)}. Run it again to resume there.`;
  }
}
