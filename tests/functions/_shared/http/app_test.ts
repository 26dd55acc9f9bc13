/**
 * What the functions have in common at their HTTP side.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { AppError } from "../../../../supabase/functions/_shared/http/errors.ts";
import {
  authenticateRefused,
  createApp,
  errorBody,
} from "../../../../supabase/functions/_shared/http/app.ts";
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
    const limited = app().post("/", limitBody(maxBytes), async (context) => {
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
