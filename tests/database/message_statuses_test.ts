/**
 * The list of message statuses stands once in SQL and once in TypeScript, and everything else follows from it.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { messageStatus, outboxState } from "../../supabase/functions/_shared/contracts/message.ts";
import { useDatabase } from "../support/database.ts";

const database = useDatabase({ own: true });
const STATUSES = messageStatus.options;

Deno.test("the statuses in SQL are those of the contract, in the same order", async () => {
  const [row] = await database.sql`select private.message_statuses() as statuses`;
  assertEquals(row!.statuses, STATUSES);
});

Deno.test("a status ranks by its place, and an unknown one ranks below all", async () => {
  const ranked = await database.sql`
    select given.status, private.status_rank(given.status) as rank
    from unnest(${[...STATUSES, "unknown"]}::text[]) with ordinality as given (status, place)
    order by place`;
  assertEquals(
    ranked.map((row) => row.rank),
    [...STATUSES.map((_, index) => index + 1), 0],
  );
  const [none] = await database.sql`select private.status_rank(null) as rank`;
  assertEquals(none!.rank, 0);
});

Deno.test("WhatsApp reports every status after sent, and the outbox takes each of them", async () => {
  const reported = STATUSES.slice(STATUSES.indexOf("sent") + 1);
  const [row] = await database.sql`
    select
      private.accepted_statuses() as accepted,
      private.outbox_states() as outbox,
      array(
        select status from unnest(${[...STATUSES]}::text[]) with ordinality as given (status, place)
        where private.is_reported_status(status)
        order by place
      ) as reported`;
  assertEquals(row!.accepted, ["sent", ...reported]);
  assertEquals(row!.reported, reported);
  assertEquals([...row!.outbox].sort(), [...outboxState.options].sort());
});

Deno.test("the docs list the statuses as they are", async () => {
  const quoted = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(", ");
  const forward = STATUSES.filter((name) => name !== "failed");
  for (
    const [file, text] of [
      ["docs/glossary.md", quoted(STATUSES)],
      ["docs/architecture.md", `(${forward.join(", ")}; failed is final)`],
      ["docs/api/inbox.md", quoted(outboxState.options)],
      ["docs/api/messaging-ingest.md", STATUSES.map((name) => `"${name}"`).join(" | ")],
      ["docs/api/messaging-ingest.md", forward.join(" → ")],
    ] as const
  ) {
    const content = await Deno.readTextFile(new URL(`../../${file}`, import.meta.url));
    assertStringIncludes(content, text, file);
  }
});
