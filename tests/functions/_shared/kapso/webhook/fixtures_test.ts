import { assert, assertEquals } from "@std/assert";
import {
  EVENTS,
  normalize,
} from "../../../../../supabase/functions/_shared/kapso/webhook/normalize.ts";
import { coverage, MESSAGE_TYPES, readFixtures } from "../../../../fixtures/kapso/coverage.ts";

const fixtures = await readFixtures();

for (const { name, about, headers, body, expected } of fixtures) {
  Deno.test(`normalize() ${name}: ${about}`, () => {
    const elements = normalize({
      event: headers["X-Webhook-Event"],
      payloadVersion: headers["X-Webhook-Payload-Version"],
    }, body);
    assertEquals(JSON.parse(JSON.stringify(elements)), expected);
  });
}

Deno.test("every event and every message type has a fixture", () => {
  const rows = coverage(fixtures);
  for (const [kind, names] of [["event", EVENTS], ["message type", MESSAGE_TYPES]] as const) {
    for (const name of names) {
      assert(rows.some((row) => row.kind === kind && row.name === name), `${kind} ${name}`);
    }
  }
});

Deno.test("no fixture lets a media link, which is a secret, into content or metadata", () => {
  for (const { name, expected } of fixtures) {
    for (const element of expected) {
      if (element.kind !== "conversation") continue;
      for (const { content, metadata } of element.conversation.messages) {
        const text = JSON.stringify([content, metadata]);
        assert(!/app\.kapso\.ai|lookaside/.test(text), name);
      }
    }
  }
});
