/**
 * The bench counts the processor time of running and of ended processes.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  HAS_PROCESSOR_TIME,
  processorTime,
  sessionMeasure,
  stackTime,
  totalTime,
} from "../../bench/processes.ts";

/** Works for a while, and so uses at least that much processor time, if the machine lets it. */
function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

Deno.test({
  name: "the work of this process is counted",
  ignore: !HAS_PROCESSOR_TIME,
  async fn() {
    const measure = sessionMeasure(Deno.pid);
    const idle = await measure(() => Promise.resolve());
    const busy = await measure(() => Promise.resolve(work(1000)));
    assert(busy >= idle + 100, `${idle} ms and ${busy} ms`);
  },
});

Deno.test({
  name: "a child that has ended counts for the tree it was in",
  ignore: !HAS_PROCESSOR_TIME,
  async fn() {
    const before = totalTime(await stackTime(Deno.pid));
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        "const end = performance.now() + 1000; while (performance.now() < end);",
      ],
    }).output();
    assertEquals(success, true);
    assert(totalTime(await stackTime(Deno.pid)) >= before + 100);
  },
});

Deno.test({
  name: "a process that has ended has no time",
  ignore: !HAS_PROCESSOR_TIME,
  async fn() {
    // Larger than any id that Linux gives.
    await assertRejects(() => processorTime(2 ** 30), Error, "there is no process");
  },
});
