/**
 * What the log says about a file that was not copied.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { copyFile } from "../../../../../supabase/functions/_shared/kapso/media/copy_file.ts";
import { MediaError } from "../../../../../supabase/functions/_shared/kapso/media/download.ts";

/** Tries to copy a file whose download fails. */
async function copyWith(error: Error, signal?: AbortSignal) {
  const logged: unknown[] = [];
  const unused = () => Promise.reject(new Error("not used"));
  const result = await copyFile(
    {
      download: () => Promise.reject(error),
      kapsoFor: unused,
      storage: { isThere: unused, upload: unused, sign: unused, remove: unused },
      log: (level, event, fields) => logged.push([level, event, fields]),
      now: () => 0,
    },
    {
      conversationId: "conversation",
      messageId: "message",
      workspaceId: "workspace",
      phoneNumberId: undefined,
      link: "https://app.kapso.ai/file",
      mediaId: undefined,
      mimeType: "image/jpeg",
      filename: undefined,
      sentAt: "2026-03-02T09:00:00Z",
      attempt: 1,
    },
    "connection",
    true,
    signal,
  );
  return { state: result.state, reason: result.reason, logged };
}

const logged = (cause: string) => [
  ["error", "media_copy_failed", { connection_id: "connection", attempt: 1, cause }],
];

Deno.test("an unexpected error is logged by name, and the copy is retried", async () => {
  assertEquals(await copyWith(new TypeError("digest.toHex is not a function")), {
    state: "waiting",
    reason: "unavailable",
    logged: logged("TypeError"),
  });
  assertEquals(await copyWith(new MediaError("unavailable", new TypeError("a link"))), {
    state: "waiting",
    reason: "unavailable",
    logged: logged("MediaError, TypeError"),
  });
});

Deno.test("a file that is gone, and an interruption, are no errors", async () => {
  assertEquals(await copyWith(new MediaError("gone")), {
    state: "failed",
    reason: "gone",
    logged: [],
  });
  const { state, logged } = await copyWith(new Error("stopped"), AbortSignal.abort());
  assertEquals([state, logged], ["waiting", []]);
});
