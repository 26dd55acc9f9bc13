/**
 * Requests of agents that only read: how often they are counted.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import { AppError } from "../../../supabase/functions/_shared/http/errors.ts";
import { createReadCounter } from "../../../supabase/functions/conversation-sync/read_counter.ts";
import { fakeClient, type RpcAnswer } from "../../support/handlers.ts";

const LIMITED = "a".repeat(64);
const EXCEEDED = "b".repeat(64);
const OTHER = "c".repeat(64);

function counter() {
  const calls: string[] = [];
  const clock = { now: 0 };
  const client = fakeClient((name, { key_sha256: key }): RpcAnswer => {
    assertEquals(name, "count_agent_request");
    calls.push(key as string);
    return key === EXCEEDED
      ? { data: null, error: { code: "PT429", message: "rate_limited" }, status: 429 }
      : { data: key === LIMITED, error: null, status: 200 };
  });
  return { count: createReadCounter(client, () => clock.now), calls, clock };
}

Deno.test("a key without a limit is counted once a minute", async () => {
  const { count, calls, clock } = counter();
  await count(OTHER);
  clock.now = 59_999;
  await count(OTHER);
  assertEquals(calls, [OTHER]);
  clock.now = 60_000;
  await count(OTHER);
  assertEquals(calls, [OTHER, OTHER]);
});

Deno.test("a key with a limit is counted with every request, and refused beyond it", async () => {
  const { count, calls } = counter();
  await count(LIMITED);
  await count(LIMITED);
  assertEquals(calls, [LIMITED, LIMITED]);
  for (let request = 0; request < 2; request++) {
    const error = await assertRejects(() => count(EXCEEDED), AppError);
    assertEquals([error.status, error.code], [429, "rate_limited"]);
  }
  assertEquals(calls.length, 4);
});

Deno.test("keys that do not exist do not fill the memory", async () => {
  const { count, calls } = counter();
  const keys = Array.from({ length: 1_001 }, (_, index) => index.toString(16).padStart(64, "0"));
  for (const key of keys) await count(key);
  assertEquals(calls.length, keys.length);
  // The first ones were forgotten, and the last one is known.
  await count(keys.at(-1)!);
  assertEquals(calls.length, keys.length);
  await count(keys[0]!);
  assertEquals(calls.length, keys.length + 1);
});
