/**
 * The importer against the real stack: database, functions and all.
 *
 * @module
 */

import { assertEquals } from "@std/assert";

import { sharedStack } from "../../../local/spawn_stack.ts";

const ROOT = new URL("../../../", import.meta.url);
const FUNCTION = new URL("supabase/functions/messaging-ingest/index.ts", ROOT);
const MESSAGE_COUNT = 700;

Deno.test({
  name: "import stores a WhatsApp chat in the database, once",
  ignore: isMissing(FUNCTION),
  async fn() {
    await using stack = await sharedStack();
    const { api_url: apiUrl, secret_key: secretKey, demo } = stack.info;
    const phone = `62899${String(Math.random()).slice(2, 10)}`;
    const folder = await Deno.makeTempDir();
    try {
      const file = `${folder}/WhatsApp Chat with Sari Wijaya.txt`;
      await Deno.writeTextFile(file, exportOf(MESSAGE_COUNT));
      const run = () => importFile([file, "--participant", `+${phone}`, "--time-zone", "UTC"]);
      const importFile = async (args: string[]) => {
        const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
          args: ["run", "-A", "cli/import/main.ts", ...args, "--batch", "300", "--json"],
          cwd: ROOT,
          env: {
            MESSAGING_API_KEY: demo.api_key,
            MESSAGING_CONNECTION_ID: demo.connection_id,
            SUPABASE_URL: apiUrl,
          },
          stdin: "null",
        }).output();
        assertEquals(code, 0, new TextDecoder().decode(stderr));
        return JSON.parse(new TextDecoder().decode(stdout));
      };

      const first = await run();
      assertEquals(
        [first.conversations, first.messages_added, first.messages_already_there],
        [1, MESSAGE_COUNT, 0],
      );
      const [longer, second] = [exportOf(MESSAGE_COUNT + 5), await run()];
      assertEquals([second.messages_added, second.messages_already_there], [0, MESSAGE_COUNT]);
      await Deno.writeTextFile(file, longer);
      assertEquals((await run()).messages_added, 5);

      const columns =
        "message_count,unread_count,participant_name,last_message_preview,last_message_at";
      const response = await fetch(
        `${apiUrl}/rest/v1/conversations?external_conversation_id=eq.${phone}&select=${columns}`,
        { headers: { apikey: secretKey, authorization: `Bearer ${secretKey}` } },
      );
      const rows = await response.json();
      assertEquals(
        rows.map((row: Record<string, unknown>) => [
          row.message_count,
          row.unread_count,
          row.participant_name,
          row.last_message_preview,
          new Date(String(row.last_message_at)).toISOString(),
        ]),
        [[MESSAGE_COUNT + 5, 0, "Sari Wijaya", "message 704", "2026-01-13T11:44:00.000Z"]],
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

/** A message a minute, from 13 January 2026 on. */
function exportOf(count: number): string {
  return Array.from({ length: count }, (_, index) => {
    const time = new Date(Date.UTC(2026, 0, 13) + index * 60_000).toISOString();
    const date = `${time.slice(8, 10)}/${time.slice(5, 7)}/${time.slice(0, 4)}`;
    const sender = index % 3 ? "Sari Wijaya" : "Toko Melati";
    return `${date}, ${time.slice(11, 16)} - ${sender}: message ${index}\n`;
  }).join("");
}

function isMissing(file: URL): boolean {
  try {
    Deno.statSync(file);
    return false;
  } catch {
    return true;
  }
}
