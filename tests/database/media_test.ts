/**
 * What a message records about the copy of its file does not depend on the order of the reports.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { useDatabase } from "../support/database.ts";

const database = useDatabase({ own: true });

Deno.test("of all that is said about a copy, the best holds, and of that the latest", async () => {
  const media = (state: string, minute: number) => ({
    state,
    at: `2026-03-02T09:0${minute}:00.000Z`,
  });
  const told = [media("failed", 1), media("linked", 2), media("stored", 3), media("stored", 4)];
  for (const order of permutations([...told, media("failed", 5)])) {
    const [row] = await database.service<{ metadata: unknown }[]>`
      select private.change_message(
        ${database.service.json({ id: "m", metadata: { kapso_type: "image" } })},
        array(
          select jsonb_build_object('message_id', 'm', 'media', item.value)
          from jsonb_array_elements(${
      database.service.json(order)
    }) with ordinality as item (value, place)
          order by item.place
        ),
        false
      ) -> 'metadata' as metadata`;
    assertEquals(row!.metadata, { kapso_type: "image", media: media("stored", 4) });
  }
  // A bridge may have put anything there.
  const [row] = await database.service<{ changed: unknown }[]>`
    select private.change_message(
      '{"id": "m", "metadata": {"media": {"state": 7, "at": "yesterday"}}}',
      array['{"media": {"state": "linked", "at": "2026-03-02T09:00:00.000Z"}}'::jsonb],
      false
    ) #>> '{metadata,media,state}' as changed`;
  assertEquals(row!.changed, "linked");
});

function permutations<Item>(items: readonly Item[]): Item[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, place) =>
    permutations(items.toSpliced(place, 1)).map((rest) => [item, ...rest])
  );
}
