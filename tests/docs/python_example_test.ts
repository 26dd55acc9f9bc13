/**
 * The example for agents in Python: it keeps its state, and answers also where nothing can be kept.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";

import { ConversationStateService } from "../../clients/conversation-sync/src/mod.ts";
import { useDatabase } from "../support/database.ts";
import { cutOff, failure, html, KEY, startFakeApi, text } from "../../fakes/agent_api.ts";

const EXAMPLE = join(import.meta.dirname!, "../../docs/api/examples/conversation_sync.py");
const ANSWER = "¡Perfecto! ¿De qué tamaño?";

const database = useDatabase();
const hasPython = isInstalled();
if (!hasPython) {
  // deno-lint-ignore no-console
  console.warn("python3 is not installed: conversation_sync.py is NOT tested");
}

Deno.test({
  name: "conversation_sync.py keeps its state",
  ignore: !hasPython,
  async fn() {
    const { api_url, demo } = database.info;
    assertEquals(await run(api_url, demo.agent_key), {
      code: 0,
      stdout: `${ANSWER} (demo)\n`,
      stderr: "",
    });
    const service = new ConversationStateService({
      apiBaseUrl: `${api_url}/functions/v1/conversation-sync`,
      apiKey: demo.agent_key,
      throwOnError: true,
      env: {},
    });
    const state = await service.getConversationByPhone("51999999999");
    assertEquals([state!.currentIntent, state!.currentStep], ["order", "cart"]);
    assertEquals(state!.context.orderTotal, 15);
    assertEquals(
      state!.context.previousMessages!.slice(-2).map(({ role, content }) => [role, content]),
      [["user", "Quiero una pizza"], ["bot", ANSWER]],
    );
  },
});

Deno.test({
  name: "conversation_sync.py answers also when the API fails",
  ignore: !hasPython,
  async fn() {
    await using api = startFakeApi();
    for (
      const behaviour of [failure(503), failure(401), html(200), text('{"type":"1"}'), cutOff()]
    ) {
      api.always(behaviour);
      const { code, stdout, stderr } = await run(api.url, KEY);
      assertEquals([code, stdout], [0, `${ANSWER} (not synced)\n`]);
      assertMatch(stderr, /^(conversation sync error: (POST|GET) \w+\n){2}$/);
    }
  },
});

async function run(
  url: string,
  key: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command("python3", {
    args: [EXAMPLE],
    env: { SUPABASE_URL: url, CONVERSATION_API_KEY: key, PYTHONIOENCODING: "utf-8" },
    stdin: "null",
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

function isInstalled(): boolean {
  try {
    return new Deno.Command("python3", { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}
