/**
 * How the app reads messages, with any content that a provider may put into them.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Message } from "../../../app/src/api/rows.ts";
import { readContent } from "../../../app/src/thread/read_content.ts";

function read(overrides: Partial<Message>) {
  return readContent({
    id: "1",
    direction: "inbound",
    type: "text",
    content: "",
    media_url: null,
    sent_at: "2026-03-02T09:00:00Z",
    status: null,
    status_at: null,
    error: null,
    reply_to: null,
    reactions: null,
    edited_at: null,
    original_content: null,
    deleted_at: null,
    sender_name: null,
    is_history: false,
    metadata: null,
    cursor: "",
    ...overrides,
  });
}

Deno.test("a location has a point only where there is one on earth", () => {
  const location = { latitude: "-6.2", longitude: 106.81, name: "Home", address: "Jl. Merdeka 1" };
  assertEquals(
    read({ type: "location", content: "Home, Jl. Merdeka 1", metadata: { location } }),
    {
      kind: "location",
      name: "Home",
      address: "Jl. Merdeka 1",
      point: { latitude: -6.2, longitude: 106.81 },
    },
  );
  assertEquals(read({ type: "location", content: "-6.2,106.81" }), {
    kind: "location",
    name: undefined,
    address: undefined,
    point: { latitude: -6.2, longitude: 106.81 },
  });
  assertEquals(read({ type: "location", content: "91,0" }), {
    kind: "location",
    name: undefined,
    address: undefined,
    point: undefined,
  });
});

Deno.test("contacts and orders are read as far as they go, and else shown as text", () => {
  const contacts = [{ name: { first_name: "Ana", last_name: "Reis" }, phones: [{ wa_id: "351" }] }];
  assertEquals(read({ metadata: { kapso_type: "contacts", contacts } }), {
    kind: "contacts",
    cards: [{ name: "Ana Reis", phones: ["351"], emails: [] }],
  });
  const order = {
    product_items: [{ product_retailer_id: "cake", quantity: "2", item_price: "x" }],
  };
  assertEquals(read({ metadata: { kapso_type: "order", order } }), {
    kind: "order",
    text: undefined,
    items: [{ name: "cake", quantity: 2, price: undefined }],
    currency: undefined,
  });
  for (const kapso_type of ["contacts", "order"]) {
    assertEquals(read({ content: "as text", metadata: { kapso_type, [kapso_type]: null } }), {
      kind: "text",
      text: "as text",
    });
  }
});

Deno.test("what was deleted or cannot be shown is said, and a caption that is none is left out", () => {
  assertEquals(read({ deleted_at: "2026-03-02T09:01:00Z" }), {
    kind: "placeholder",
    reason: "deleted",
  });
  assertEquals(
    read({ content: "[Unsupported message: poll]", metadata: { kapso_type: "unsupported" } }),
    { kind: "placeholder", reason: "unsupported" },
  );
  assertEquals(read({ type: "image", content: "[image]" }), {
    kind: "media",
    media: "image",
    caption: "",
  });
  assertEquals(read({ type: "image", metadata: { kapso_type: "sticker" } }), {
    kind: "media",
    media: "sticker",
    caption: "",
  });
});
