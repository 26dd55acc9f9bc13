/**
 * What the functions have in common at their HTTP side.
 *
 * @module
 */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { AppError } from "../../../../supabase/functions/_shared/http/errors.ts";
import {
  authenticateRefused,
  createApp,
  errorBody,
} from "../../../../supabase/functions/_shared/http/app.ts";
import { createBodyBudget } from "../../../../supabase/functions/_shared/http/large_bodies.ts";
import { limitBody } from "../../../../supabase/functions/_shared/http/limit_body.ts";

function app() {
  return createApp({ name: "f", log: () => {}, monotonic: () => 0, allowHeaders: [], errorBody });
}

Deno.test("limitBody() says its limit in the unit that fits", async () => {
  const limits: [maxBytes: number, said: string][] = [
    [16 * 1024, "16 KB"],
    [256 * 1024, "256 KB"],
    [1024 * 1024, "1 MB"],
    [3.5 * 1024 * 1024, "3.5 MB"],
  ];
  for (const [maxBytes, said] of limits) {
    const large = {
      authenticate: () => "sender",
      budget: createBodyBudget({ maxBytes: 4 * 1024 * 1024 }),
    };
    const limited = app().post("/", limitBody(maxBytes, { large }), async (context) => {
      const { size } = await context.req.raw.blob();
      return context.json({ size });
    });
    const send = (bytes: number, headers: Record<string, string> = {}) =>
      limited.request("/f", { method: "POST", body: "x".repeat(bytes), headers });
    for (const isDeclared of [false, true]) {
      const declare = (bytes: number): Record<string, string> =>
        isDeclared ? { "content-length": `${bytes}` } : {};
      const taken = await send(maxBytes, declare(maxBytes));
      assertEquals([taken.status, await taken.json()], [200, { size: maxBytes }]);
      const refused = await send(maxBytes + 1, declare(maxBytes + 1));
      assertEquals(refused.status, 413);
      const { message } = await refused.json();
      assertEquals(message, `Request body too large: at most ${said}`);
    }
  }
});

Deno.test("limitBody() asks for known callers before it reads a large body, and gives its room back", async () => {
  const MB = 1024 * 1024;
  const taken: number[] = [];
  let inWork = 0;
  const limited = app().post(
    "/",
    limitBody(2 * MB, {
      large: {
        authenticate({ req }) {
          const key = req.header("x-key");
          if (key === undefined) throw new AppError(401, "unknown", "Unknown");
          return key;
        },
        budget: (_sender, bytes) => {
          taken.push(bytes);
          inWork++;
          return Promise.resolve(() => inWork--);
        },
      },
    }),
    async (context) => {
      const { size } = await context.req.raw.blob();
      if (context.req.header("x-fail")) throw new AppError(422, "failed", "Failed");
      return context.json({ size, inWork });
    },
  );
  const send = async (bytes: number, headers: Record<string, string>) => {
    taken.length = 0;
    const response = await limited.request("/f", {
      method: "POST",
      body: new Uint8Array(bytes),
      headers,
    });
    const { size, inWork: during } = await response.json();
    assertEquals(inWork, 0, "its room is taken for ever");
    return [response.status, size ?? null, during ?? null, ...taken];
  };
  const known = { "x-key": "a" };
  for (const isDeclared of [true, false]) {
    const declared = (bytes: number): Record<string, string> =>
      isDeclared ? { "content-length": `${bytes}` } : {};
    const sent = (bytes: number, headers: Record<string, string> = {}) =>
      send(bytes, { ...declared(bytes), ...headers });
    assertEquals(await sent(64 * 1024), [200, 64 * 1024, 0]);
    assertEquals(await sent(MB), [401, null, null]);
    // An undeclared one may get as large as the limit.
    assertEquals(await sent(MB, known), [200, MB, 1, isDeclared ? MB : 2 * MB]);
    assertEquals((await sent(MB, { ...known, "x-fail": "1" }))[0], 422);
    assertEquals(await sent(3 * MB), [401, null, null]);
    assertEquals((await sent(3 * MB, known))[0], 413);
  }
});

Deno.test("limitBody() takes no large bodies without rules for them", () => {
  assertThrows(() => limitBody(65 * 1024), Error, "need rules");
  limitBody(64 * 1024);
});

Deno.test("a body budget has room for some at a time, and fewer of one sender", async () => {
  const part = 64 * 1024;
  const budget = createBodyBudget({
    maxBytes: 10 * part,
    maxBytesOfSender: 6 * part,
    maxWaitMs: 1,
  });
  const codeOf = async (taking: Promise<unknown>) => {
    const error = await assertRejects(() => taking, AppError);
    return [error.status, error.code, error.retryAfterSeconds];
  };
  const first = await budget("a", 6 * part);
  assertEquals(await codeOf(budget("a", 1)), [429, "too_many_large_requests", 5]);
  const second = await budget("b", 4 * part);
  assertEquals(await codeOf(budget("c", 1)), [503, "too_many_requests", 5]);
  first();
  // One that is larger than the share of its sender takes all of that.
  const third = await budget("a", 100 * part);
  third();
  second();
  for (let turn = 0; turn < 3; turn++) (await budget("c", 6 * part))();
});

Deno.test("bodies that wait get their turn in their order", async () => {
  const budget = createBodyBudget({ maxBytes: 640 * 1024 });
  const order: string[] = [];
  const first = await budget("a", 640 * 1024);
  const waiting = ["b", "c", "d"].map(async (sender) => {
    const release = await budget(sender, 512 * 1024);
    order.push(sender);
    release();
  });
  first();
  await Promise.all(waiting);
  assertEquals(order, ["b", "c", "d"]);
});

Deno.test("authenticateRefused() authenticates the callers of refused requests, and no others", async () => {
  for (
    const [status, isAsked] of [[200, false], [400, true], [404, false], [413, true], [415, true], [
      503,
      false,
    ]] as const
  ) {
    for (const isKnown of [true, false]) {
      let asked = 0;
      const closed = app();
      closed.use(authenticateRefused(() => {
        asked++;
        if (!isKnown) throw new AppError(401, "invalid_token", "Invalid token");
        return Promise.resolve();
      }));
      closed.get("/", (context) => {
        if (status === 200) return context.body(null);
        throw new AppError(status, "refused", "No", { retryAfterSeconds: 5 });
      });
      const response = await closed.request("/f");
      assertEquals(
        [response.status, asked],
        [isAsked && !isKnown ? 401 : status, isAsked ? 1 : 0],
      );
      await response.body?.cancel();
    }
  }
});
