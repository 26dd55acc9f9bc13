/**
 * The texts of the page Health. Apart from `texts.ts`, so that only those who open the page load them.
 *
 * @module
 */

/** English. */
export const healthTexts = {
  subtitle:
    "Whether this installation is complete and does its work. Counts are of the workspaces you own.",
  checkAgain: "Check again",
  checked: "Checked",
  loadFailed: "Couldn't check the installation.",
  againFailed: (why: string) => `Couldn't check again: ${why} This is the last result.`,
  emptyTitle: "No checks to show",
  emptyHint: "The server returned none. Your role may have changed: reload the page.",
  notAllowedTitle: "Health is for owners",
  notAllowedHint: "If something doesn't work, tell an owner of this workspace.",
  whatToDo: "What to do:",
  help: "Some steps need access to the server. Send them to the person who runs it.",
  status: { ok: "OK", warning: "Warning", problem: "Problem", unknown: "Unknown" },
  groups: { ok: "Working", warning: "Warnings", problem: "Problems", unknown: "Unknown" },
  summary: {
    allOk: "Everything works.",
    onlyUnknown: (count: number) =>
      count === 1
        ? "No problems. 1 check has no result yet."
        : `No problems. ${count} checks have no result yet.`,
    problem: (count: number) => count === 1 ? "1 problem" : `${count} problems`,
    warning: (count: number) => count === 1 ? "1 warning" : `${count} warnings`,
    unknown: (count: number) => `${count} unknown`,
  },
  clock: {
    found: (difference: string) =>
      `The clocks of this device and of the server differ by ${difference}.`,
    whatToDo:
      "Set this device's time automatically. If it already is, the server's clock is wrong.",
  },
  /** By name of the check: what people call the part, and what it is for. */
  checks: {
    "clock": {
      title: "Clock",
      purpose: "Reply windows, links and sessions depend on the right time.",
    },
    "schema version": {
      title: "Database version",
      purpose: "The version of tables and rules.",
    },
    "migrations": {
      title: "Database updates",
      purpose: "Whether all updates of this version are applied.",
    },
    "extensions": {
      title: "Database extensions",
      purpose: "Search and background jobs need them.",
    },
    "table policies": {
      title: "Access rules",
      purpose: "They decide who can read which data.",
    },
    "realtime": {
      title: "Live updates",
      purpose: "Show new messages without reloading.",
    },
    "storage": {
      title: "File storage",
      purpose: "Keeps pictures, recordings and documents.",
    },
    "vault secrets": {
      title: "Keys for background jobs",
      purpose: "The database uses them to start jobs.",
    },
    "schedule": {
      title: "Schedule",
      purpose: "Starts the background jobs.",
    },
    "job kapso-sync": {
      title: "Fetch from Kapso",
      purpose: "Every minute: continues fetching history and finds messages that webhooks missed.",
    },
    "job send-queued-messages": {
      title: "Send waiting messages",
      purpose: "Every minute: sends messages that are still waiting.",
    },
    "job settle-outbox": {
      title: "Settle sent messages",
      purpose: "Every minute: finds out what became of messages without a confirmation.",
    },
    "job daily-summary": {
      title: "Write daily summaries",
      purpose: "Every 5 minutes: writes the summaries that are due.",
    },
    "job forget-connections": {
      title: "Clear deleted connections",
      purpose: "Every minute: conversations forget connections that were deleted.",
    },
    "job retry-webhook-events": {
      title: "Try events again",
      purpose: "Every minute: stores events from Kapso that could not be stored at first.",
    },
    "job drain-webhook-events": {
      title: "Process waiting events",
      purpose: "Every minute: processes events from Kapso that are still waiting.",
    },
    "job keep-webhook-days": {
      title: "Make room for events",
      purpose: "Every 10 minutes: prepares the next days and deletes old events from Kapso.",
    },
    "job settle-waiting-updates": {
      title: "Apply late changes",
      purpose:
        "Every minute: applies statuses and edits that came in the same moment as their message.",
    },
    "job index-messages": {
      title: "Index new messages",
      purpose: "Every minute: keeps the search fast.",
    },
    "job fold-message-counts": {
      title: "Update statistics",
      purpose: "Every 5 minutes: adds new messages to the overview.",
    },
    "job prune-records": {
      title: "Delete old records",
      purpose: "Every 10 minutes: deletes records that are no longer needed.",
    },
    "job prune-cron-runs": {
      title: "Delete old job logs",
      purpose: "Every night: deletes the log of old jobs.",
    },
    "webhook events": {
      title: "Events from Kapso",
      purpose: "Messages and statuses that Kapso delivered.",
    },
    "webhook storage": {
      title: "Storage of events",
      purpose: "Room for the events from Kapso of the next days.",
    },
    "outbox": {
      title: "Outgoing messages",
      purpose: "Messages that your team sends.",
    },
    "kapso sync": {
      title: "Backfills and repairs",
      purpose: "Messages that are being fetched from Kapso.",
    },
    "files": {
      title: "Files of messages",
      purpose: "Pictures, recordings and documents that are copied to the file storage.",
    },
    "summaries": {
      title: "Unfinished summaries",
      purpose: "Days whose summaries are not all written.",
    },
    "message counts": {
      title: "Statistics",
      purpose: "New messages that the overview doesn't count yet.",
    },
    "waiting changes": {
      title: "Waiting changes",
      purpose: "Statuses, reactions and files that came before their message.",
    },
    "message search": {
      title: "Search in messages",
      purpose: "New messages that are found, but not indexed yet.",
    },
    "conversations": {
      title: "Conversations",
      purpose: "Unread ones, and those without a contact.",
    },
  } as Record<string, { title: string; purpose: string }>,
} as const;
