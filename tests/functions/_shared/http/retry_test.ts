/**
 * How the retry helper waits, and when it gives up.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import {
  readRetryAfter,
  retry,
  type RetryOptions,
  wait,
} from "../../../../supabase/functions/_shared/http/retry.ts";

class Busy extends Error {
  readonly retryAfterMs: number;

  constructor(retryAfterMs = 0) {
    super("busy");
    this.retryAfterMs = retryAfterMs;
  }
}

/** Retries work that fails with each of these errors in turn, and notes the waits. */
async function run(errors: Error[], options: Partial<RetryOptions> = {}) {
  const left = [...errors];
  const waits: number[] = [];
  let now = 0;
  const work = () => {
    const error = left.shift();
    return error === undefined ? Promise.resolve("done") : Promise.reject(error);
  };
  const result = await retry(work, {
    retryAfterOf: (error) => error instanceof Busy ? error.retryAfterMs : undefined,
    backoffMs: 100,
    delay: (ms) => Promise.resolve(void waits.push(Math.round(ms))),
    now: () => now += 1,
    random: () => 0,
    ...options,
  }).catch((error: unknown) => error);
  return { result, waits, left: left.length };
}

Deno.test("waits double, with jitter, up to the longest", async () => {
  const errors = Array.from({ length: 4 }, () => new Busy());
  assertEquals((await run(errors)).waits, [100, 200, 400, 800]);
  assertEquals((await run(errors, { random: () => 0.5 })).waits, [150, 300, 600, 1200]);
  assertEquals((await run(errors, { maxBackoffMs: 300 })).waits, [100, 200, 300, 300]);
});

Deno.test("a server that asks for a longer wait gets it, and a little more at random", async () => {
  assertEquals((await run([new Busy(7000)])).waits, [7000]);
  assertEquals((await run([new Busy(7000)], { random: () => 0.5 })).waits, [7350]);
  assertEquals((await run([new Busy(7000)], { maxBackoffMs: 50 })).waits, [7000]);
  const { result, waits } = await run([new Busy(7001)], { maxRetryAfterMs: 7000 });
  assertEquals([(result as Error).message, waits], ["busy", []]);
});

Deno.test("the last error is thrown when the attempts or the time are used up", async () => {
  const errors = [new Busy(), new Busy(), new Busy()];
  assertEquals((await run(errors, { attempts: 4 })).result, "done");
  const tired = await run(errors, { attempts: 2 });
  assertEquals([tired.result, tired.waits, tired.left], [errors[1], [100], 1]);
  const late = await run(errors, { maxElapsedMs: 150 });
  assertEquals([late.result, late.waits], [errors[1], [100]]);
});

Deno.test("an error that a retry cannot help is thrown at once", async () => {
  const error = new TypeError("wrong");
  const { result, waits } = await run([error]);
  assertEquals([result, waits], [error, []]);
});

Deno.test("each wait is announced, unless the signal is aborted", async () => {
  const seen: unknown[] = [];
  const onRetry: RetryOptions["onRetry"] = ({ attempt, waitMs }) => seen.push([attempt, waitMs]);
  await run([new Busy(), new Busy()], { onRetry });
  assertEquals(seen.splice(0), [[1, 100], [2, 200]]);
  const stopped = new AbortController();
  const { result } = await run([new Busy()], {
    onRetry,
    signal: stopped.signal,
    retryAfterOf() {
      stopped.abort("stopped");
      return 0;
    },
  });
  assertEquals([result, seen], ["stopped", []]);
});

Deno.test("wait() ends with the reason of its signal", async () => {
  await wait(0);
  const controller = new AbortController();
  const waiting = wait(60_000, controller.signal);
  controller.abort(new Busy());
  await assertRejects(() => waiting, Busy);
  await assertRejects(() => wait(60_000, controller.signal), Busy);
});

Deno.test("readRetryAfter() reads seconds and dates", () => {
  assertEquals(readRetryAfter("7"), 7000);
  assertEquals(readRetryAfter("-1"), 0);
  assertEquals(readRetryAfter(new Date(90_000).toUTCString(), 81_000), 9000);
  assertEquals(readRetryAfter(new Date(1000).toUTCString(), 81_000), 0);
  assertEquals([readRetryAfter(null), readRetryAfter(" "), readRetryAfter("soon")], [
    undefined,
    undefined,
    undefined,
  ]);
});
