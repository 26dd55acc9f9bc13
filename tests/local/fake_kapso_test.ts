import { assertEquals, assertStringIncludes } from "@std/assert";
import { banner } from "../../local/banner.ts";
import { eventually } from "../support/eventually.ts";
import { userClient } from "../support/users.ts";
import { startStack } from "../../local/spawn_stack.ts";

Deno.test("start --with-fake-kapso brings live conversations to the demo workspace", async () => {
  const stack = await startStack({ args: ["--ephemeral", "--port", "0", "--with-fake-kapso"] });
  const { info } = stack;
  try {
    if (info.fake_kapso === undefined) throw new Error("there is no fake Kapso");
    assertStringIncludes(banner(info), info.fake_kapso.api_url);
    const client = userClient(info);
    const { email, password, kapso_phone_number_id } = info.demo;
    const { error } = await client.auth.signInWithPassword({ email, password });
    assertEquals(error, null);
    // Which of the customers writes first is not known.
    await eventually("Sari and another customer have written", async () => {
      const { data } = await client.from("conversations").select("participant_name")
        .like("external_conversation_id", `${kapso_phone_number_id}:%`).gt("message_count", 0);
      return data!.length >= 2 && data!.some((row) => row.participant_name === "Sari");
    }, { timeoutMs: 60_000 });
  } finally {
    assertEquals(await stack.stop(), 0);
  }
  // The fake stops with the stack.
  const answer = await fetch(info.fake_kapso!.api_url).catch(() => undefined);
  await answer?.body?.cancel();
  assertEquals(answer, undefined);
});
