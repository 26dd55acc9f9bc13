import { assert, assertEquals, assertRejects } from "@std/assert";

import { type Batch, makeBatches } from "../../../cli/import/batches.ts";
import {
  createIngestClient,
  type IngestClientOptions,
  IngestRefusal,
  IngestUnavailable,
  ingestUrl,
} from "../../../cli/import/ingest_client.ts";
import type { ImportItem, ImportMessage } from "../../../cli/import/import_item.ts";
import type { Progress } from "../../../cli/import/progress.ts";
import { exitCodeOf, runImport } from "../../../cli/import/run.ts";
import type { Source } from "../../../cli/import/source_files.ts";
import {
  type FakeIngest,
  type Misbehaviour,
  startFakeIngest,
  storedCount,
} from "../../../fakes/ingest.ts";

function clientOf(fake: FakeIngest, options: Partial<IngestClientOptions> = {}) {
  return createIngestClient({
    url: fake.url,
    apiKey: fake.key,
    connectionId: "connection_1",
    platform: "telegram",
    minWaitMs: 1,
    maxWaitMs: 20,
    ...options,
  });
}

function items(count: number, threads = 3): ImportItem[] {
  return Array.from({ length: count }, (_, index) => {
    const externalId = `thread-${index % threads}`;
    const message: ImportMessage = {
      id: `${externalId}:${index}`,
      direction: "inbound",
      type: "text",
      content: `message ${index}`,
      sentAt: new Date(1_767_610_800_000 + index * 1000).toISOString(),
    };
    return {
      kind: "message",
      conversation: { externalId, participantIdentifier: externalId },
      message,
    };
  });
}

async function batchOf(count: number): Promise<Batch> {
  const messages = items(count).flatMap((item) => item.kind === "message" ? item : []);
  const [batch] = await Array.fromAsync(makeBatches(messages, { maxMessages: 5000 }));
  return batch!;
}

function sourceOf(all: ImportItem[]): Source {
  return {
    name: "test",
    platform: "telegram",
    description: "",
    itemCount: all.length,
    async *items() {
      yield* all;
    },
  };
}

const silent: Progress = { start() {}, advance() {}, note() {}, stop() {} };

Deno.test("a batch that is too slow for the server is sent in halves, down to single messages", async () => {
  await using fake = startFakeIngest();
  const tooSlow: Misbehaviour = {
    kind: "status",
    status: 422,
    body: '{"error":"The database needed longer","code":"batch_too_slow"}',
  };
  fake.misbehaviours.push(tooSlow, tooSlow);
  const outcomes = await clientOf(fake).send(await batchOf(11));
  assertEquals(storedCount(fake), 11);
  assertEquals(outcomes.reduce((sum, outcome) => sum + outcome.messagesSent, 0), 11);
  assertEquals(outcomes.every(({ kind }) => kind === "stored"), true);
  // Where one message is too slow, nothing smaller is left.
  fake.misbehaviours.push(tooSlow);
  await assertRejects(async () => await clientOf(fake).send(await batchOf(1)), IngestRefusal);
});

const PASSING: [string, Misbehaviour][] = [
  ["429", { kind: "status", status: 429 }],
  ["408", { kind: "status", status: 408 }],
  ["500", { kind: "status", status: 500, body: '{"error":"Internal server error"}' }],
  ["503 with Retry-After in the past", {
    kind: "status",
    status: 503,
    headers: { "retry-after": "Thu, 01 Jan 2026 00:00:00 GMT" },
  }],
  ["502 with a page of HTML", {
    kind: "status",
    status: 502,
    headers: { "content-type": "text/html" },
    body: "<html>Bad gateway</html>",
  }],
  ["connection cut before the answer", { kind: "cut", afterBytes: 0 }],
  ["connection cut in the middle of the answer", { kind: "cut", afterBytes: 120 }],
  ["timeout", { kind: "slow", ms: 400 }],
];

for (const [name, misbehaviour] of PASSING) {
  Deno.test(`send() retries after: ${name}`, async () => {
    await using fake = startFakeIngest();
    fake.misbehaviours.push(misbehaviour, misbehaviour);
    const retries: number[] = [];
    const client = clientOf(fake, {
      timeoutMs: 200,
      onRetry: ({ attempt }) => retries.push(attempt),
    });
    const outcomes = await client.send(await batchOf(9));
    assertEquals(retries, [1, 2]);
    assertEquals(outcomes.map(({ kind }) => kind), ["stored", "stored", "stored"]);
    assertEquals(storedCount(fake), 9);
  });
}

Deno.test("send() waits as long as Retry-After says", async () => {
  await using fake = startFakeIngest();
  fake.misbehaviours.push({ kind: "status", status: 429, headers: { "retry-after": "1" } });
  const start = performance.now();
  await clientOf(fake).send(await batchOf(1));
  // Timers may be a moment early.
  assert(performance.now() - start >= 990);
});

Deno.test("send() gives up at once when Retry-After is too long, and after the last retry", async () => {
  await using fake = startFakeIngest();
  fake.misbehaviours.push({ kind: "status", status: 503, headers: { "retry-after": "86400" } });
  await assertRejects(async () => clientOf(fake).send(await batchOf(1)), IngestUnavailable);
  assertEquals(fake.misbehaviours.length, 0);
  for (let count = 0; count < 4; count++) fake.misbehaviours.push({ kind: "status", status: 500 });
  await assertRejects(
    async () => clientOf(fake, { retries: 3 }).send(await batchOf(1)),
    IngestUnavailable,
    "500",
  );
  assertEquals(fake.misbehaviours.length, 0);
  assertEquals(fake.requests.length, 0);
});

Deno.test("send() never repeats a refused request and says what to change", async () => {
  await using fake = startFakeIngest();
  const body = '{"error":"Nope","code":"nope","request_id":"r1"}';
  for (const status of [400, 401, 403, 404, 413, 415, 307]) {
    const attempts: number[] = [];
    fake.misbehaviours = Object.assign(fake.misbehaviours, { length: 0 });
    fake.misbehaviours.push({
      kind: "status",
      status,
      body,
      headers: { location: "https://elsewhere.example/" },
    });
    const error = await assertRejects(
      async () => clientOf(fake, { onRetry: () => attempts.push(1) }).send(await batchOf(1)),
      IngestRefusal,
      "Nope (nope, request r1)",
    );
    assertEquals(error.status, status);
    assertEquals(attempts, []);
  }
  assertEquals(fake.requests.length, 0);
});

Deno.test("send() does not show the key even when the server repeats it", async () => {
  await using fake = startFakeIngest();
  fake.misbehaviours.push({ kind: "status", status: 400, body: `{"error":"bad ${fake.key}"}` });
  const error = await assertRejects(async () => clientOf(fake).send(await batchOf(1)), Error);
  assert(!error.message.includes(fake.key));
});

Deno.test("send() refuses an answer that is not the API's", async () => {
  await using fake = startFakeIngest();
  fake.misbehaviours.push({ kind: "status", status: 200, body: "<html>Log in</html>" });
  await assertRejects(
    async () => clientOf(fake).send(await batchOf(1)),
    IngestRefusal,
    "Check --url",
  );
});

Deno.test("ingestUrl() completes addresses", () => {
  const path = "/functions/v1/messaging-ingest";
  for (
    const [given, expected] of [
      ["http://127.0.0.1:54321", `http://127.0.0.1:54321${path}`],
      ["http://127.0.0.1:54321/", `http://127.0.0.1:54321${path}`],
      ["https://a.example/functions/v1", `https://a.example${path}`],
      [`https://a.example${path}`, `https://a.example${path}`],
      [`https://a.example/base${path}/?x=1`, `https://a.example/base${path}`],
    ] as const
  ) assertEquals(ingestUrl(given), expected);
});

Deno.test("runImport() loses and doubles nothing on a bad line, however the requests are cut", async () => {
  for (const seed of [1, 2, 3]) {
    await using fake = startFakeIngest();
    const all = items(1_003, 5);
    for (let count = 0; count < 30; count++) {
      const [, misbehaviour] = PASSING[(count * 7 + seed) % (PASSING.length - 1)]!;
      // Every second request works, so that no request runs out of retries.
      fake.misbehaviours.push(misbehaviour, undefined as unknown as Misbehaviour);
    }
    const summary = await runImport([sourceOf(all)], {
      client: clientOf(fake),
      batch: [50, 77, 500][seed - 1]!,
      progress: silent,
    });
    assertEquals(storedCount(fake), 1_003);
    assertEquals(summary.messagesFailed, 0);
    // A batch that was stored before its answer was cut comes back as already there.
    assertEquals(summary.messagesAdded + summary.messagesAlreadyThere, 1_003);
    assertEquals(exitCodeOf(summary), 0);
    for (const { messages } of fake.threads.values()) {
      const times = [...messages.values()].map((message) => message.sent_at);
      assertEquals(times, times.toSorted());
    }
    const again = await runImport([sourceOf(all)], {
      client: clientOf(fake),
      batch: 200,
      progress: silent,
    });
    assertEquals([again.messagesAdded, again.messagesAlreadyThere], [0, 1_003]);
    assertEquals(storedCount(fake), 1_003);
  }
});

Deno.test("runImport() reports a broken conversation and stores the others", async () => {
  await using fake = startFakeIngest();
  fake.broken.add("thread-1");
  const summary = await runImport([sourceOf(items(30))], {
    client: clientOf(fake),
    batch: 10,
    progress: silent,
  });
  assertEquals([summary.messagesAdded, summary.messagesFailed], [20, 10]);
  assertEquals([...summary.failures], [["conversation thread-1: Broken · x", 10]]);
  assertEquals(exitCodeOf(summary), 3);
});

Deno.test("runImport() reports a rejected message, and does not take it for one that was there", async () => {
  await using fake = startFakeIngest();
  fake.rejected.add("thread-1:1").add("thread-1:4");
  const summary = await runImport([sourceOf(items(30))], {
    client: clientOf(fake),
    batch: 10,
    progress: silent,
  });
  assertEquals(
    [summary.messagesAdded, summary.messagesAlreadyThere, summary.messagesFailed],
    [28, 0, 2],
  );
  assertEquals([...summary.failures], [["conversation thread-1: is odd · invalid_message", 2]]);
  assertEquals(exitCodeOf(summary), 3);
});

Deno.test("runImport() continues after one refused request, and stops when the first or the key is refused", async () => {
  const refuse = (status: number): Misbehaviour => ({ kind: "status", status });
  const works = undefined as unknown as Misbehaviour;
  const cases: [Misbehaviour[], number, number, 1 | 3][] = [
    [[works, refuse(400)], 20, 10, 3],
    [[refuse(400)], 0, 10, 1],
    [[works, refuse(401)], 10, 10, 3],
  ];
  for (const [misbehaviours, added, failed, code] of cases) {
    await using fake = startFakeIngest();
    fake.misbehaviours.push(...misbehaviours);
    const summary = await runImport([sourceOf(items(30))], {
      client: clientOf(fake),
      batch: 10,
      progress: silent,
    });
    assertEquals([summary.messagesAdded, summary.messagesFailed], [added, failed]);
    assertEquals(exitCodeOf(summary), code);
  }
});

Deno.test("runImport() stops when it is interrupted, and counts what was stored", async () => {
  await using fake = startFakeIngest();
  const controller = new AbortController();
  fake.misbehaviours.push(undefined as unknown as Misbehaviour, { kind: "slow", ms: 300 });
  const running = runImport([sourceOf(items(30))], {
    client: clientOf(fake, { signal: controller.signal }),
    batch: 10,
    progress: { ...silent, advance: () => controller.abort() },
    signal: controller.signal,
  });
  const summary = await running;
  assertEquals([summary.messagesAdded, summary.stopped], [10, "Interrupted"]);
  assertEquals(exitCodeOf(summary), 3);
});

Deno.test("runImport() skips messages that are not before --until", async () => {
  await using fake = startFakeIngest();
  const summary = await runImport([sourceOf(items(30))], {
    client: clientOf(fake),
    batch: 10,
    until: new Date(1_767_610_800_000 + 12 * 1000).toISOString(),
    progress: silent,
  });
  assertEquals(summary.messagesAdded, 12);
  assertEquals([...summary.skipped], [["not before --until", 18]]);
});
