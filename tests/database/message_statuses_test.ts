/**
 * The list of message statuses stands once in SQL and once in TypeScript, and everything else follows from it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { messageStatus } from "../../supabase/functions/_shared/contracts/message.ts";
import { useDatabase } from "../support/database.ts";

const database = useDatabase();
const STATUSES = messageStatus.options;

Deno.test("the statuses in SQL are those of the contract, in the same order", async () => {
  const [row] = await database.sql`select private.message_statuses() as statuses`;
  assertEquals(row!.statuses, STATUSES);
});

Deno.test("a status ranks by its place, and whatever is none ranks below all", async () => {
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
  assertEquals(
    [...row!.outbox].sort(),
    ["queued", "sending", "unconfirmed", "discarded", "sent", ...reported].sort(),
  );
});
