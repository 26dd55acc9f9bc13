/**
 * The copies that a function makes after its answer.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { createBackgroundCopier } from "../../../../../supabase/functions/_shared/kapso/media/background_copier.ts";

Deno.test("one worker copies the files of a burst of events, and leaves none out", async () => {
  const started: string[] = [];
  const waiting: (() => void)[] = [];
  const works: Promise<unknown>[] = [];
  const logged: unknown[] = [];
  const copy = createBackgroundCopier({
    findConnections: (phoneNumberIds) =>
      phoneNumberIds.includes("down")
        ? Promise.reject(new Error("no database"))
        : Promise.resolve(phoneNumberIds),
    media: {
      copyMedia(phoneNumberId) {
        started.push(phoneNumberId);
        const { promise, resolve } = Promise.withResolvers<void>();
        waiting.push(resolve);
        return promise.then(() => ({ stored: 1, linked: 0, failed: 0, waiting: 0 }));
      },
    },
    waitUntil: (work) => void works.push(work),
    log: (level, event, fields) => logged.push([level, event, fields]),
  });
  const next = async () => {
    while (waiting.length === 0) await Promise.resolve();
    waiting.shift()!();
  };
  copy(["a"]);
  copy(["a"]);
  copy(["b", "a"]);
  await next();
  // What came meanwhile, the same phone number among it.
  await next();
  await next();
  await works[0];
  assertEquals([started, works.length], [["a", "a", "b"], 1]);
  copy(["down"]);
  await works[1];
  assertEquals(logged, [["error", "media_failed", { cause: "Error" }]]);
  copy(["c"]);
  await next();
  await works[2];
  assertEquals(started.at(-1), "c");
});
