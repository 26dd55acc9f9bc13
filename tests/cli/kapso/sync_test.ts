/**
 * `deno task kapso:sync`: what it prints, how it ends, and that it survives failures.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";

import { Lock } from "../../../local/lock.ts";
import { generateSecrets } from "../../../local/secrets.ts";
import { syncKapso } from "../../../cli/kapso/sync/command.ts";
import { createDisplay } from "../../../cli/kapso/sync/display.ts";
import { readOptions, type SyncOptions } from "../../../cli/kapso/sync/options.ts";
import { findProject } from "../../../cli/project.ts";
import { createTextReport } from "../../../cli/kapso/sync/report.ts";
import type { SyncEvent } from "../../../supabase/functions/_shared/contracts/kapso_sync.ts";
import { createPhoneNumber, uniquePhoneNumberId } from "../../support/kapso_webhook.ts";
import { rows, signUp } from "../../support/users.ts";
import {
  type Business,
  expireWaits,
  kapsoIds,
  killFunction,
  newBusiness,
  post,
  storedIds,
  useWorld,
} from "../../support/kapso_sync.ts";
import { CommandError } from "../../../cli/command_error.ts";

const ROOT = join(import.meta.dirname!, "../../..");
const DAY_MS = 24 * 60 * 60 * 1000;
const world = useWorld({ startAt: Date.now() - 3 * DAY_MS });

Deno.test("kapso:sync prints what it does step by step, and adds nothing the second time", async () => {
  const business = await newBusiness(world.current);
  addConversation(business, 2, { phone: "14155550123" });
  // A customer's name is printed as a name, with any characters.
  addConversation(business, 8, {
    phone: "6281398765432",
    name: "Jane\x1b[2J \x1b]0;owned\x07Smith\u202e\r\n✓ Success",
  });
  addConversation(business, 15, { phone: "6281234567890", name: "John Doe" });
  const slug = await slugOf(business);
  const first = await command([slug]);
  assertEquals(first.stderr, "");
  assertEquals(
    first.stdout,
    `=== Kapso Historical Data Sync ===

Workspace: ${slug}
Supabase URL: ${world.current.info.api_url}
Phone Number ID: ${business.phoneNumber.phoneNumberId}
Messages per conversation: 50

[Step 1] Getting workspace from Supabase...
✓ Workspace found: ${business.user.workspaceId}

[Step 2] Fetching all conversations from Kapso...
[Kapso] Fetching conversations page 1...
[Kapso] Page 1: 3 conversations
✓ Total conversations: 3

[Step 3] Processing conversations...

[1/3] Processing: John Doe (+62 812-3456-7890)
  → Fetching messages...
  → Found 15 messages
  → Importing to Supabase...
  ✓ Success: 15 messages imported

[2/3] Processing: Jane Smith ✓ Success (+62 813-9876-5432)
  → Fetching messages...
  → Found 8 messages
  → Importing to Supabase...
  ✓ Success: 8 messages imported

[3/3] Processing: +1 415 555-0123
  → Fetching messages...
  → Found 2 messages
  → Importing to Supabase...
  ✓ Success: 2 messages imported

=== Sync Complete ===

Total conversations: 3
Successfully processed: 3
Failed: 0
Messages imported: 25
Contacts created: 3
Conversations created: 3

✓ Historical data sync complete!
`,
  );
  assertEquals(first.code, 0);
  assertEquals(await storedOf(business), kapsoIds(world.current.fake, business.fakePhoneNumber));

  const second = await command([slug]);
  assertEquals(second.code, 0, second.stderr);
  assertStringIncludes(second.stdout, "  → Found 15 messages\n");
  assertStringIncludes(
    second.stdout,
    "Messages imported: 0\nContacts created: 0\nConversations created: 0\n",
  );

  const json = await command([slug, "--json"], {
    PHONE_NUMBER_ID: business.phoneNumber.phoneNumberId,
  });
  assertEquals([json.code, json.stderr], [0, ""]);
  const events: SyncEvent[] = json.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(events[0]!.type, "run");
  assertEquals(events.at(-1)!.type, "done");
  assertEquals(events.filter(({ type }) => type === "conversation_done").length, 3);
});

Deno.test("kapso:sync reads the newest messages, or all, or those since a time", async () => {
  const { fake } = world.current;
  const business = await newBusiness(world.current);
  addConversation(business, 120, {});
  const slug = await slugOf(business);
  const newest = await command([slug, "--messages", "7"]);
  assertStringIncludes(newest.stdout, "Messages imported: 7\n");
  const none = await command([slug, "--messages", "all", "--since", "2099-01-01"]);
  assertStringIncludes(none.stdout, "Since: 20");
  assertStringIncludes(none.stdout, "No conversations found in Kapso");
  const all = await command([slug, "--messages", "all", "--delay-ms", "0"]);
  assertStringIncludes(all.stdout, "Messages per conversation: all\n");
  assertStringIncludes(all.stdout, "  → Found 120 messages\n");
  assertEquals(await storedOf(business), kapsoIds(fake, business.fakePhoneNumber));
});

Deno.test("kapso:sync --dry-run counts, and stores nothing", async () => {
  const business = await newBusiness(world.current);
  addConversation(business, 4, { name: "John Doe" });
  addConversation(business, 3, {});
  const { code, stdout } = await command([await slugOf(business), "--dry-run"]);
  assertEquals(code, 0);
  assertStringIncludes(stdout, "  ✓ Dry run: 4 messages would be imported\n");
  assertStringIncludes(stdout, "Messages to import: 7\n\n✓ Dry run complete: nothing was stored.");
  assert(!/✓ Success|Messages imported/.test(stdout));
  assertEquals(await storedOf(business), []);
  const people = await rows(business.user.client.from("people").select("id"));
  assertEquals(people, []);
});

Deno.test("kapso:sync ends with code 3 if a conversation failed, and imports it the next time", async () => {
  const { fake } = world.current;
  const business = await newBusiness(world.current);
  addConversation(business, 4, {});
  addConversation(business, 3, {});
  fake.misbehaveOn("GET", new RegExp(`/${business.phoneNumber.phoneNumberId}/messages$`), {
    kind: "status",
    status: 400,
    body: '{"error":"Conversation is damaged"}',
  });
  const slug = await slugOf(business);
  const first = await command([slug]);
  assertEquals(first.code, 3, first.stderr);
  assertStringIncludes(
    first.stdout,
    "  ✗ Failed to import conversation: Conversation is damaged\n",
  );
  assertStringIncludes(
    first.stdout,
    "Successfully processed: 1\nFailed: 1\nMessages imported: 4\n",
  );
  assertMatch(first.stdout, /Some conversations failed\. Run it again/);
  const second = await command([slug]);
  assertEquals(second.code, 0);
  assertEquals(await storedOf(business), kapsoIds(fake, business.fakePhoneNumber));
});

Deno.test("kapso:sync syncs all numbers of a workspace, also if one of them fails", async () => {
  const business = await newBusiness(world.current);
  addConversation(business, 4, {});
  // Kapso does not know this one, and the third is switched off.
  const unknown = await createPhoneNumber(business.user);
  const inactive = await createPhoneNumber(business.user);
  await rows(
    business.user.client.from("connections").update({ is_active: false }).eq("id", inactive.id)
      .select("id"),
  );
  const slug = await slugOf(business);
  const { code, stdout, stderr } = await command([slug]);
  assertEquals(code, 3, stderr);
  assertMatch(stdout, new RegExp(`\\(${inactive.phoneNumberId}\\) is inactive and left out`));
  assertStringIncludes(stdout, `--- Number 1 of 2: ${business.phoneNumber.phoneNumberId}, `);
  assertStringIncludes(stdout, `--- Number 2 of 2: ${unknown.phoneNumberId}, `);
  assertStringIncludes(
    stdout,
    "=== All Numbers ===\n\nNumbers: 2\nComplete: 1\nTotal conversations: 1",
  );
  assertMatch(stderr, /Kapso refuses: .*that the Phone Number ID belongs to its project/);

  const only = await command([slug, "--connection", business.phoneNumber.phoneNumberId]);
  assertEquals([only.code, only.stderr], [0, ""]);
  assert(!only.stdout.includes("Number 1 of"));
  const off = await command([], { PHONE_NUMBER_ID: inactive.phoneNumberId });
  assertEquals(off.code, 1);
  assertStringIncludes(off.stderr, "No selected connection is active");
});

Deno.test("kapso:sync says what went wrong, and what to do", async () => {
  const { info } = world.current;
  const business = await newBusiness(world.current);
  const slug = await slugOf(business);
  addConversation(business, 1, {});
  const empty = await newBusiness(world.current);
  const bare = await signUp(info);
  const [bareWorkspace] = await rows(bare.client.from("workspaces").select("slug"));
  const closed = "http://127.0.0.1:9";
  const cases: [string[], Record<string, string>, number, string][] = [
    [
      ["unknown-workspace"],
      {},
      2,
      'Workspace not found: there is no workspace "unknown-workspace"',
    ],
    [["unknown-workspace"], {}, 2, slug],
    [[], {}, 2, "Several workspaces have a Kapso number"],
    [[bareWorkspace!.slug], {}, 2, "has no Kapso number. Create a connection"],
    [[slug, "--connection", uniquePhoneNumberId()], {}, 2, business.phoneNumber.phoneNumberId],
    [[await slugOf(empty)], {}, 0, "No conversations found in Kapso. Check"],
    [[slug], { KAPSO_API_KEY: "wrong-key-of-kapso" }, 1, "Kapso refuses: Invalid credentials"],
    [
      [slug],
      { SUPABASE_SECRET_KEY: "sb_secret_wrong" },
      2,
      "refuses SUPABASE_SECRET_KEY",
    ],
    [[slug], { SUPABASE_URL: closed }, 1, "Cannot reach the project"],
    [[slug], { SUPABASE_URL: "" }, 2, "SUPABASE_URL is not set"],
    [
      [slug, "--messages", "0"],
      {},
      2,
      "--messages must be a whole number from 1 to 1000000, or all",
    ],
    [[slug, "--delay-ms", "1e3"], {}, 2, "--delay-ms must be"],
    [[slug, "--since", "yesterday"], {}, 2, "--since must be a date"],
    [[slug, "--frob"], {}, 2, "--frob"],
    [[slug, "other"], {}, 2, "one workspace at a time"],
  ];
  for (const [args, env, code, text] of cases) {
    const ended = await command(args, env);
    const all = ended.stdout + ended.stderr;
    assertEquals(ended.code, code, all);
    assertStringIncludes(all, text);
    for (
      const key of [info.secret_key, "sb_secret_wrong", "wrong-key", world.current.fake.apiKey]
    ) {
      assert(!all.includes(key), "a key was printed");
    }
  }
});

Deno.test("kapso:sync waits as long as Kapso's rate limit says, and resumes", async () => {
  const { fake } = world.current;
  const business = await newBusiness(world.current);
  addConversation(business, 4, {});
  fake.misbehaveOn("GET", new RegExp(`/${business.phoneNumber.phoneNumberId}/messages$`), {
    kind: "status",
    status: 429,
    headers: { "Retry-After": "42" },
    body: '{"error":"Rate limit exceeded","message":"Limit of 100 requests per minute exceeded"}',
  });
  const waits: number[] = [];
  const { code, lines } = await commandHere(business, {}, (ms) => void waits.push(ms));
  assertEquals(code, 0);
  assertEquals(waits, [42_000]);
  const note = lines.find((line) => line.startsWith("Kapso limits the rate"));
  assertMatch(note ?? "", /A larger --delay-ms avoids this\. Resuming in 42 seconds\./);
  assertEquals(lines.filter((line) => line.includes("] Processing:")).length, 1);
  assertEquals(await storedOf(business), kapsoIds(fake, business.fakePhoneNumber));

  fake.misbehaveOn("GET", new RegExp(`/${business.phoneNumber.phoneNumberId}/messages$`), {
    kind: "status",
    status: 429,
    headers: { "Retry-After": "86400" },
  });
  const refused = await commandHere(business, {}, () => assert(false, "it waits for a day"));
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.problems, "It asks to wait 24 hours");
  assertStringIncludes(refused.problems, "0 of 1 conversations are done; run it again");
});

Deno.test("kapso:sync survives a killed function and a concurrent run", async () => {
  const { fake, info, sql } = world.current;
  const business = await newBusiness(world.current);
  for (let place = 0; place < 6; place++) addConversation(business, 3, {});
  let kills = 0;
  const killed = await commandHere(business, { delayMs: 150 }, async () => {
    // As if the minute were over.
    const [run] = await sql<{ id: string }[]>`
      select id from public.sync_runs where connection_id = ${business.phoneNumber.id} and finished_at is null`;
    if (run) await expireWaits(info, run.id);
  }, async (line) => {
    if (line.startsWith("[3/6]") && kills++ === 0) assert(await killFunction(world.current));
  });
  assertEquals(kills, 1);
  assertEquals(killed.code, 0, killed.problems);
  assert(killed.lines.some((line) => /broke\. Resuming\.|Retrying in/.test(line)));
  assertEquals(await storedOf(business), kapsoIds(fake, business.fakePhoneNumber));

  // Another request pauses between two conversations until this command waits for it.
  const other = await post(info, { connection_id: business.phoneNumber.id, delay_ms: 10_000 });
  const reader = other.body!.getReader();
  await reader.read();
  let isOver = false;
  const waiting = await commandHere(business, {}, async () => {
    if (isOver) return;
    isOver = true;
    const [run] = await sql<{ id: string }[]>`
      select id from public.sync_runs where connection_id = ${business.phoneNumber.id} and finished_at is null`;
    await expireWaits(info, run!.id);
  });
  await reader.cancel();
  assertEquals(waiting.code, 0, waiting.problems);
  assertEquals(
    waiting.lines.filter((line) => line.startsWith("Another request is syncing")).length,
    1,
  );
});

Deno.test("Ctrl-C stops kapso:sync, the next call resumes there, and a second Ctrl-C ends it at once", async () => {
  const { fake } = world.current;
  const business = await newBusiness(world.current);
  for (let place = 0; place < 5; place++) addConversation(business, 3, {});
  const slug = await slugOf(business);
  const stopped = start([slug, "--delay-ms", "500"]);
  await stopped.shows("[2/5]");
  stopped.child.kill("SIGINT");
  const first = await stopped.end;
  assertEquals(first.code, 130, first.stdout + first.stderr);
  const [, done] =
    /Stopped where (\d) of 5 conversations are done\. Run it again/.exec(first.stdout) ??
      [];
  assert(Number(done) >= 1 && Number(done) < 5, first.stdout);
  assertEquals((await storedOf(business)).length, Number(done) * 3);

  const going = start([slug, "--delay-ms", "10000"]);
  await going.shows("Success");
  going.child.kill("SIGINT");
  await going.shows("Press Ctrl-C again");
  // The first of these may still count as the same key.
  const again = setInterval(() => {
    try {
      going.child.kill("SIGINT");
    } catch { /* It has ended. */ }
  }, 200);
  const hard = await going.end.finally(() => clearInterval(again));
  assertEquals(hard.code, 130);
  assert(!hard.stdout.includes("=== Sync Stopped ==="));
  // What was cut off is still asked to stop, or counts as busy until its lease is over.
  const [run] = await world.current.sql<{ id: string }[]>`
    select id from public.sync_runs where connection_id = ${business.phoneNumber.id} and finished_at is null`;
  await expireWaits(world.current.info, run!.id);

  const last = await command([slug]);
  assertEquals(last.code, 0, last.stderr);
  assertStringIncludes(
    last.stdout,
    `Resuming where the last run stopped: ${Number(done) + 1} of 5 conversations are done\n` +
      "✓ Total conversations: 5\n",
  );
  assertStringIncludes(last.stdout, "Successfully processed: 5\n");
  assertEquals(await storedOf(business), kapsoIds(fake, business.fakePhoneNumber));
});

Deno.test("without environment variables it uses the project on this machine", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await assertProblem(findProject({}, folder), "No project is running on this machine");
    const secrets = generateSecrets();
    const local = join(folder, ".local");
    await Deno.mkdir(local);
    await Deno.writeTextFile(join(local, "secrets.json"), JSON.stringify(secrets));
    await Deno.writeTextFile(
      join(local, "stack.lock"),
      '{"pid":1,"api_url":"http://127.0.0.1:54321"}',
    );
    await assertProblem(findProject({}, folder), "No project is running on this machine");
    const attempt = await Lock.tryTake(join(local, "stack.lock"));
    if (!("lock" in attempt)) throw new Error("another process has the lock");
    assertEquals(await findProject({}, folder), {
      url: "http://127.0.0.1:54321",
      serviceKey: secrets.secret_key,
    });
    attempt.lock.release();
    assertEquals(
      await findProject({ SUPABASE_URL: "https://x.co/", SUPABASE_SECRET_KEY: "k" }, folder),
      { url: "https://x.co", serviceKey: "k" },
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

// Helpers of this file ---------------------------------------------------------------------------

/** A conversation of a month ago at Kapso. The one that is added last is listed first. */
function addConversation(
  { fakePhoneNumber }: Business,
  messages: number,
  contact: { phone?: string; name?: string },
): void {
  const { fake } = world.current;
  fake.clock.advance(60);
  const added = fake.addContact({ phoneNumber: fakePhoneNumber, ...contact });
  for (let place = 0; place < messages; place++) {
    const sentAt = Date.now() - 30 * DAY_MS + place * 60_000;
    fake.importMessage(added, place % 2 === 0 ? "inbound" : "outbound", `text ${place}`, sentAt);
  }
}

async function slugOf({ user }: Business): Promise<string> {
  const [workspace] = await rows(user.client.from("workspaces").select("slug"));
  return workspace!.slug;
}

function storedOf({ phoneNumber }: Business): Promise<string[]> {
  return storedIds({ sql: world.current.sql, phoneNumber });
}

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Starts the command as a process. */
function start(args: string[], env: Record<string, string> = {}) {
  const { info } = world.current;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--frozen", "cli/kapso/sync/main.ts", ...args],
    cwd: ROOT,
    env: {
      SUPABASE_URL: info.api_url,
      SUPABASE_SECRET_KEY: info.secret_key,
      NO_COLOR: "1",
      ...env,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let stdout = "";
  let isOver = false;
  let more = Promise.withResolvers<void>();
  const reading = (async () => {
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      stdout += text;
      more.resolve();
      more = Promise.withResolvers();
    }
  })();
  const errors = new Response(child.stderr).text();
  const end = (async (): Promise<Ended> => {
    const { code } = await child.status;
    await reading;
    isOver = true;
    more.resolve();
    return { code, stdout, stderr: await errors };
  })();
  return {
    child,
    end,
    async shows(text: string) {
      while (!stdout.includes(text)) {
        if (isOver) throw new Error(`it ended without "${text}": ${stdout}`);
        await more.promise;
      }
    },
  };
}

function command(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  return start(args, env).end;
}

/** Runs the command in this process, where waits can be looked at instead of waited for. */
async function commandHere(
  business: Business,
  options: Partial<SyncOptions>,
  onWait: (ms: number) => unknown,
  onLine: (line: string) => unknown = () => {},
): Promise<{ code: number; lines: string[]; problems: string }> {
  const { info } = world.current;
  const lines: string[] = [];
  const reactions: unknown[] = [];
  let problems = "";
  const report = createTextReport(
    createDisplay(false, (text) => {
      lines.push(text.trimEnd());
      reactions.push(onLine(text.trimEnd()));
    }),
    (text) => problems += text,
  );
  const read = readOptions([await slugOf(business), "--delay-ms", "0"], {});
  if (read === "help") throw new Error("the options are a call for help");
  const code = await syncKapso({
    project: { url: info.api_url, serviceKey: info.secret_key },
    report,
    delay: async (ms) => void await onWait(ms),
    stop: new AbortController().signal,
  }, { ...read, ...options });
  await Promise.all(reactions);
  return { code, lines, problems };
}

async function assertProblem(work: Promise<unknown>, text: string): Promise<void> {
  const error = await work.then(() => undefined, (error) => error);
  assert(error instanceof CommandError);
  assertStringIncludes(error.message, text);
}
