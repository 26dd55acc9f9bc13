import { assert, assertEquals } from "@std/assert";
import { message } from "../../../../../supabase/functions/_shared/contracts/message.ts";
import type { NormalizedElement } from "../../../../../supabase/functions/_shared/kapso/webhook/elements.ts";
import { readInstant } from "../../../../../supabase/functions/_shared/kapso/webhook/read_message.ts";
import {
  normalize,
  readPhoneNumberIds,
} from "../../../../../supabase/functions/_shared/kapso/webhook/normalize.ts";
import { readFixtures } from "../../../../fixtures/kapso/coverage.ts";
import { createRandom, type Random } from "../../../../../fakes/kapso/random.ts";

const LINE = "100000000000123";
const RECEIVED = "whatsapp.message.received";

/** A delivery with one message; every part may be overridden. */
function delivery(
  parts: { message?: object; kapso?: object; conversation?: object; root?: object } = {},
) {
  return {
    message: {
      id: "wamid.1",
      timestamp: "1772442000",
      type: "text",
      text: { body: "hi" },
      from: "5511988887777",
      ...parts.message,
      kapso: { direction: "inbound", status: "received", ...parts.kapso },
    },
    conversation: {
      id: "session-1",
      phone_number: "+5511988887777",
      phone_number_id: LINE,
      status: "active",
      updated_at: "2026-03-02T09:00:00Z",
      ...parts.conversation,
    },
    phone_number_id: LINE,
    ...parts.root,
  };
}

/** The first element, which must be of that kind. */
function first<Kind extends NormalizedElement["kind"]>(kind: Kind, elements: NormalizedElement[]) {
  const [element] = elements;
  if (element?.kind !== kind) throw new Error(`expected ${kind}: ${JSON.stringify(element)}`);
  return element as Extract<NormalizedElement, { kind: Kind }>;
}

function conversationOf(elements: NormalizedElement[]) {
  return first("conversation", elements).conversation;
}

function messageOf(parts: Parameters<typeof delivery>[0], event = RECEIVED) {
  return conversationOf(normalize({ event }, delivery(parts))).messages[0];
}

Deno.test("normalize() takes the event's name from the header, then `type`, then `event`", () => {
  const kindOf = (header: string | undefined, root: object) =>
    normalize({ event: header }, delivery({ root }))[0]?.kind;
  assertEquals(kindOf(RECEIVED, { type: "workflow.execution.failed" }), "conversation");
  assertEquals(kindOf(undefined, { type: RECEIVED, event: "unheard.of" }), "conversation");
  assertEquals(kindOf(undefined, { event: RECEIVED }), "conversation");
  assertEquals(kindOf(undefined, { event: "unheard.of" }), "ignored");
  // Nothing names it, but it is a message all the same.
  assertEquals(kindOf(undefined, {}), "conversation");
  assertEquals(kindOf("", {}), "conversation");
});

Deno.test("normalize() finds direction and contact in sparse events", () => {
  const from = normalize(
    { event: "whatsapp.message.sent" },
    delivery({
      message: { from: "551130000000", to: "5511988887777" },
      kapso: { direction: undefined },
      conversation: { phone_number: undefined },
    }),
  );
  assertEquals(conversationOf(from).external_conversation_id, `${LINE}:5511988887777`);
  assertEquals(conversationOf(from).messages[0]?.direction, "outbound");
  // The recipient is only in the status.
  const status = normalize(
    { event: "whatsapp.message.read" },
    delivery({
      message: { from: undefined },
      kapso: {
        direction: "outbound",
        statuses: [{ status: "read", timestamp: "1772442001", recipient_id: "5511988887777" }],
      },
      conversation: { phone_number: "" },
    }),
  );
  assertEquals(conversationOf(status).external_conversation_id, `${LINE}:5511988887777`);
  // A message typed on the business's phone is outbound, no matter what else the event says.
  assertEquals(messageOf({ kapso: { origin: "business_app" } })?.direction, "outbound");
});

Deno.test("normalize() reads rows of Kapso's lists, which have no conversation", () => {
  const conversation = conversationOf(normalize({}, {
    phone_number_id: LINE,
    message: {
      id: "wamid.AAA1",
      timestamp: "1772442000",
      type: "text",
      from: "5511988887777",
      text: { body: "bom dia" },
      kapso: {
        direction: "inbound",
        status: "delivered",
        phone_number: "5511988887777",
        whatsapp_conversation_id: "session-1",
        contact_name: "Rita",
        content: "bom dia",
      },
    },
  }));
  assertEquals(conversation.external_conversation_id, `${LINE}:5511988887777`);
  assertEquals(conversation.participant_name, "Rita");
  assertEquals(conversation.session?.id, "session-1");
  assertEquals(conversation.messages[0]?.status, undefined);
});

Deno.test("normalize() keeps all forms of a number in one conversation", () => {
  for (
    const phone of [
      "+5511988887777",
      "5511988887777",
      "+55 11 98888-7777",
      "+55\u00a0(11)98888‑7777",
    ]
  ) {
    const { external_conversation_id: key } = conversationOf(
      normalize({ event: RECEIVED }, delivery({ conversation: { phone_number: phone } })),
    );
    assertEquals(key, `${LINE}:5511988887777`);
  }
});

Deno.test("normalize() takes the highest status, and its time from its own entry", () => {
  const at = (status: string, timestamp: string) => ({ status, timestamp });
  const outbound = (statuses: unknown[], event: string, status?: string) => {
    const stored = messageOf(
      { message: { to: "5511988887777" }, kapso: { direction: "outbound", status, statuses } },
      `whatsapp.message.${event}`,
    );
    return [stored?.status, stored?.status_at];
  };
  const time = (seconds: number) => new Date(seconds * 1000).toISOString();
  assertEquals(outbound([at("read", "30"), at("delivered", "20")], "delivered"), [
    "read",
    time(30),
  ]);
  assertEquals(outbound([at("sent", "10"), at("failed", "40")], "sent"), ["failed", time(40)]);
  // Twice the same: when it happened first.
  assertEquals(outbound([at("read", "31"), at("read", "30")], "read"), ["read", time(30)]);
  // The event knows more than the entries: no time rather than a wrong one.
  assertEquals(outbound([at("sent", "10")], "read"), ["read", undefined]);
  assertEquals(outbound([], "sent", "sent"), ["sent", undefined]);
  assertEquals(outbound([at("PLAYED", "50")], "sent"), ["read", time(50)]);
  assertEquals(outbound([null, 7, at("nonsense", "9"), at("sent", "x")], "sent"), [
    "sent",
    undefined,
  ]);
});

Deno.test("normalize() skips a failed reaction, and one without a message", () => {
  const failed = normalize(
    { event: "whatsapp.message.failed" },
    delivery({
      message: { type: "reaction", reaction: { message_id: "wamid.0", emoji: "👍" } },
      kapso: { direction: "outbound", status: "failed" },
    }),
  );
  assertEquals(conversationOf(failed).changes, undefined);
  const targetless = normalize(
    { event: RECEIVED },
    delivery({ message: { type: "reaction", reaction: { emoji: "👍" } } }),
  );
  assertEquals(targetless[0]?.kind, "ignored");
});

Deno.test("normalize() never uses the sender's name of an outbound message", () => {
  const { participant_name, person } = conversationOf(normalize(
    { event: "whatsapp.message.sent" },
    delivery({ kapso: { direction: "outbound", contact_name: "Our Shop" } }),
  ));
  assertEquals([participant_name, person?.name], [undefined, undefined]);
});

Deno.test("normalize() fits oversized originals instead of losing the message", () => {
  const long = "á🙂".repeat(40_000);
  const stored = messageOf({
    message: {
      type: "text",
      text: { body: long },
      referral: { body: long, deep: JSON.parse("[".repeat(500) + "]".repeat(500)) },
    },
    kapso: { transcript: long },
  });
  assert(stored?.content.startsWith("á🙂") && stored.content.endsWith("…"));
  assert(!stored?.content.includes("\ufffd"));
  assertEquals(stored?.metadata?.is_truncated, true);
  assert(message.safeParse(stored).success);
});

Deno.test("normalize() drops an unsafe media link, not the message", () => {
  for (
    const url of ["javascript:alert(1)", "file:///etc/passwd", `https://x/${"a".repeat(3000)}`]
  ) {
    const stored = messageOf({
      message: { type: "image", image: { id: "1", link: url } },
      kapso: { media_url: url },
    });
    assertEquals([stored?.type, stored?.media_url], ["image", null]);
  }
});

Deno.test("normalize() gives a message without a usable time the time of its arrival", () => {
  const arrivedAt = new Date("2026-03-05T10:00:00Z");
  const messageAt = (timestamp: unknown) => {
    const body = delivery({
      message: { timestamp },
      conversation: { updated_at: undefined, last_active_at: undefined },
    });
    return conversationOf(normalize({ event: RECEIVED, arrivedAt }, body)).messages[0]!;
  };
  for (const timestamp of [undefined, null, "", "soon", 0, "0", -5, "-5", {}, 1e300, "NaN"]) {
    const { sent_at, metadata } = messageAt(timestamp);
    assertEquals(
      [sent_at, metadata?.sent_at_is_arrival],
      ["2026-03-05T10:00:00.000Z", true],
      JSON.stringify(timestamp),
    );
  }
  for (
    const timestamp of [
      "1772442000",
      1772442000,
      1772442000000,
      "1772442000000",
      1772442000000000,
      "1772442000000000000",
      "2026-03-02T09:00:00Z",
    ]
  ) {
    const { sent_at, metadata } = messageAt(timestamp);
    assertEquals(
      [sent_at, metadata?.sent_at_is_arrival],
      ["2026-03-02T09:00:00.000Z", undefined],
      JSON.stringify(timestamp),
    );
  }
  // A reaction without a time counts from its arrival too.
  const reaction = {
    type: "reaction",
    timestamp: 0,
    reaction: { message_id: "wamid.0", emoji: "👍" },
  };
  const { changes } = conversationOf(
    normalize({ event: RECEIVED, arrivedAt }, delivery({ message: reaction })),
  );
  assertEquals(changes?.[0]?.reactions?.[0]?.reacted_at, "2026-03-05T10:00:00.000Z");
});

Deno.test("normalize() takes a BSUID of digits for an identity of its own, never for a number", () => {
  const id = "5511988887777";
  const own = `bsuid:${id}`;
  const byField = conversationOf(normalize(
    { event: RECEIVED },
    delivery({
      message: { from: undefined, from_user_id: id },
      conversation: { phone_number: undefined, business_scoped_user_id: id },
    }),
  ));
  assertEquals([
    byField.external_conversation_id,
    byField.participant_identifier,
    byField.person?.phone,
    byField.person?.identifiers,
  ], [`${LINE}:${own}`, own, undefined, [own]]);
  // Beside a number, which may have the same digits.
  const both = conversationOf(normalize(
    { event: RECEIVED },
    delivery({ conversation: { business_scoped_user_id: id } }),
  ));
  assertEquals(
    [both.external_conversation_id, both.thread_aliases.slice(0, 1), both.person?.identifiers],
    [`${LINE}:${id}`, [`${LINE}:${own}`], [own]],
  );
  const change = first(
    "identity_change",
    normalize({ event: "whatsapp.contact.identity_changed" }, {
      phone_number_id: LINE,
      previous_business_scoped_user_id: "111222333444",
      new_business_scoped_user_id: id,
      contact: { wa_id: "5511911112222" },
    }),
  );
  assertEquals([change.previous, change.current], [["bsuid:111222333444"], [
    own,
    "+5511911112222",
  ]]);
  const preference = first(
    "marketing_preference",
    normalize({ event: "whatsapp.contact.marketing_preference_changed" }, {
      phone_number_id: LINE,
      marketing_preference: "stopped",
      contact: { business_scoped_user_id: id },
    }),
  );
  assertEquals(preference.identifiers, [own]);
  const system = normalize(
    { event: RECEIVED },
    delivery({
      message: {
        type: "system",
        system: {
          type: "user_changed_user_id",
          body: `User Rita changed from 111222333444 to ${id}`,
          user_id: id,
        },
      },
      conversation: { business_scoped_user_id: "111222333444" },
    }),
  ).find((element) => element.kind === "identity_change");
  assertEquals([system?.previous, system?.current], [["bsuid:111222333444"], [
    own,
    "+5511988887777",
  ]]);
});

Deno.test("normalize() keeps a message whose ids are too long for a key", () => {
  const long = (length: number) => "s".repeat(length);
  const session = conversationOf(
    normalize({ event: RECEIVED }, delivery({ conversation: { id: long(400) } })),
  );
  assertEquals([session.messages.length, session.session?.id], [1, long(400)]);
  // Nothing but the conversation says who it is.
  const unknown = (id: string) =>
    conversationOf(normalize({ event: RECEIVED }, {
      ...delivery({ message: { from: undefined }, conversation: { id, phone_number: undefined } }),
      phone_number_id: "1".repeat(128),
    }));
  const keys = [unknown(long(512)), unknown(long(511)), unknown("short")]
    .map(({ external_conversation_id, messages }) => {
      assertEquals(messages.length, 1);
      return external_conversation_id.slice(129);
    });
  assertEquals(new Set(keys).size, 3);
  assertEquals(keys[2], "conversation:short");
  const group = conversationOf(
    normalize({ event: RECEIVED }, {
      ...delivery({ message: { group_id: long(512) } }),
      phone_number_id: "1".repeat(128),
    }),
  );
  assertEquals(group.messages.length, 1);
});

Deno.test("normalize() reads the identity events that integrators report", async (test) => {
  const cases: [string, object, string[], string[]][] = [
    [
      "flat, previous and new",
      {
        previous_business_scoped_user_id: "BR.1a",
        new_business_scoped_user_id: "BR.2b",
      },
      ["BR.1a"],
      ["BR.2b"],
    ],
    [
      "nested objects",
      {
        old: { business_scoped_user_id: "BR.1a", wa_id: "5511988887777" },
        current: { business_scoped_user_id: "BR.2b", wa_id: "5511988887777" },
      },
      ["BR.1a"],
      ["BR.2b", "+5511988887777"],
    ],
    [
      "under contact",
      {
        contact: { previous_wa_id: "5511988887777", wa_id: "5511911112222" },
      },
      ["+5511988887777"],
      ["+5511911112222"],
    ],
    ["numbers, from and to", { from: "+55 11 98888-7777", to: "5511911112222" }, [
      "+5511988887777",
    ], ["+5511911112222"]],
    [
      "the old id is still the contact's",
      {
        previous_business_scoped_user_id: "BR.1a",
        new_business_scoped_user_id: "BR.2b",
        contact: { business_scoped_user_id: "BR.1a", wa_id: "5511988887777" },
      },
      ["BR.1a"],
      ["BR.2b", "+5511988887777"],
    ],
    ["only what the contact is now", { contact: { wa_id: "5511988887777" } }, [], [
      "+5511988887777",
    ]],
  ];
  for (const [name, body, previous, current] of cases) {
    await test.step(name, () => {
      const headers = { event: "whatsapp.contact.identity_changed" };
      const element = first(
        "identity_change",
        normalize(headers, { phone_number_id: LINE, ...body }),
      );
      assertEquals([element.previous, element.current], [previous, current]);
    });
  }
  // The business's own phone number is no contact's.
  const [ignored] = normalize({ event: "whatsapp.contact.identity_changed" }, {
    phone_number_id: "5511900000000",
  });
  assertEquals(ignored?.kind, "ignored");
});

Deno.test("normalize() reads the marketing preferences that integrators report", () => {
  for (
    const body of [
      { marketing_preference: "stopped", contact: { wa_id: "5511988887777" } },
      { preference: "STOPPED", conversation: { phone_number: "+5511988887777" } },
      { contact: { phone_number: "5511988887777", marketing_preference: { status: "stopped" } } },
    ]
  ) {
    const headers = { event: "whatsapp.contact.marketing_preference_changed" };
    const element = first(
      "marketing_preference",
      normalize(headers, { phone_number_id: LINE, ...body }),
    );
    assertEquals([element.status, element.identifiers], ["stopped", ["+5511988887777"]]);
  }
});

Deno.test("readPhoneNumberIds() returns every phone number id of a delivery", () => {
  assertEquals(readPhoneNumberIds(delivery()), [LINE]);
  const batch = {
    batch: true,
    data: [delivery(), delivery({ root: { phone_number_id: "2" } }), 3],
  };
  assertEquals(readPhoneNumberIds(batch), [LINE, "2"]);
  for (const body of [null, 7, "x", [], {}, { data: null }, { phone_number_id: {} }]) {
    assertEquals(readPhoneNumberIds(body), []);
  }
});

Deno.test("readInstant() reads only unix times and ISO 8601", () => {
  const expected = "2026-03-02T09:00:00.000Z";
  for (
    const time of [
      "1772442000",
      1772442000,
      1772442000000,
      "1772442000000000",
      "1772442000000000000",
      "2026-03-02T05:00:00-04:00",
    ]
  ) {
    assertEquals(readInstant(time), expected);
  }
  for (const time of ["", "soon", 0, -5, NaN, Infinity, "99999999999999999999", undefined]) {
    assertEquals(readInstant(time), undefined);
  }
});

// Property ----------------------------------------------------------------------------------------

/** Values that have broken something somewhere. */
const NASTY: unknown[] = [
  null,
  true,
  0,
  -1,
  1e308,
  "",
  " ",
  "\0",
  "\ud800",
  "__proto__",
  "constructor",
  "a".repeat(70_000),
  "https://app.kapso.ai/x",
  [],
  {},
  [[]],
  [null],
  { id: null },
  { body: 7 },
  "9".repeat(400),
  "2026-03-02",
  "BR.1",
  "+000",
  JSON.parse('{"__proto__": {"id": 1}}'),
  "ﷺ",
  "1e999",
];

/** A copy with one to three places changed, removed, repeated or swapped for something nasty. */
function mutate(value: unknown, random: Random): unknown {
  const copy: unknown = structuredClone(value);
  for (let count = 1 + random.below(3); count > 0; count--) {
    let place = copy as Record<string, unknown> | unknown[];
    for (let depth = random.below(6); depth > 0; depth--) {
      const children = Object.values(place).filter((child) =>
        typeof child === "object" && child !== null
      );
      if (children.length === 0) break;
      place = random.pick(children) as typeof place;
    }
    const keys = Object.keys(place);
    const key = keys.length === 0 ? "x" : random.pick(keys);
    const object = place as Record<string, unknown>;
    const action = random.below(5);
    if (action === 0) delete object[key];
    else if (action === 1) {
      object[random.pick(["type", "id", "data", "kapso", "message"])] = object[key];
    } else if (action === 2) object[key] = [object[key], object[key]];
    else object[key] = structuredClone(random.pick(NASTY));
  }
  // What came over the wire has no holes and no undefined.
  return JSON.parse(JSON.stringify(copy));
}

/** The body with one value after the other replaced. */
function* replaceEach(body: unknown, value: unknown): Generator<unknown> {
  if (typeof body !== "object" || body === null) return;
  for (const key of Object.keys(body)) {
    const part = (body as Record<string, unknown>)[key];
    const withPart = (replaced: unknown) =>
      Array.isArray(body)
        ? body.map((item, at) => String(at) === key ? replaced : item)
        : { ...body, [key]: replaced };
    yield withPart(structuredClone(value));
    for (const replaced of replaceEach(part, value)) yield withPart(replaced);
  }
}

/** What must hold of any output. Returns how many conversations there are. */
function checkOutput(elements: NormalizedElement[]): number {
  assert(elements.length > 0);
  // Postgres takes neither.
  const text = JSON.stringify(elements);
  assert(!text.includes("\\u0000") && !/\\ud[89a-f]/i.test(text), text.slice(0, 2000));
  for (const element of elements) {
    if (element.kind !== "conversation") continue;
    for (const item of element.conversation.messages) {
      // Valid, and nothing was left out on the way: the metadata above all.
      assertEquals(message.parse(item), item);
      assert(item.metadata !== undefined);
    }
  }
  return elements.filter(({ kind }) => kind === "conversation").length;
}

const fixtures = await readFixtures();

Deno.test("normalize() never throws, and returns only storable values", () => {
  const random = createRandom(20261121);
  const bodies = [
    ...NASTY,
    ...Array.from({ length: 6000 }, () => mutate(random.pick(fixtures).body, random)),
  ];
  const events = [...fixtures.map(({ headers }) => headers["X-Webhook-Event"]), "", "x"];
  let stored = 0;
  for (const body of bodies) stored += checkOutput(normalize({ event: random.pick(events) }, body));
  assert(stored > 2000, `only ${stored}`);
});

Deno.test("normalize() survives a wrong type of any value", () => {
  let count = 0;
  for (const { headers, body } of fixtures) {
    for (const value of ["\0", "\ud800", "x", 7, null, {}, [{}]]) {
      for (const changed of replaceEach(body, value)) {
        checkOutput(normalize({ event: headers["X-Webhook-Event"] }, changed));
        readPhoneNumberIds(changed);
        count++;
      }
    }
  }
  assert(count > 10_000, String(count));
});
