/**
 * What of a graph's state is stored, in all its spellings.
 *
 * @module
 */

import { assertEquals } from "@std/assert";

import { mapGraphState } from "../../../clients/conversation-sync/src/mod.ts";

const MEANT = {
  intent: "order",
  step: "cart",
  context: {
    selectedItems: [
      { id: "p1", name: "Pizza", quantity: 2, price: 15.5, notes: "no onions" },
      { name: "Water", quantity: 1, price: 3 },
    ],
    orderTotal: 34,
    deliveryAddress: "Av. Larco 1",
    paymentMethod: "yape",
    customerName: "Ana",
    customerEmail: "ana@example.com",
    retryCount: 0,
  },
};

const SPELLINGS: Record<string, Record<string, unknown>> = {
  "snake_case, with a cart": {
    current_intent: "order",
    order_stage: "cart",
    cart: {
      items: [
        { id: "p1", name: "Pizza", quantity: 2, price: 15.5, notes: "no onions" },
        { name: "Water", quantity: 1, price: 3 },
      ],
      total: 34,
    },
    delivery_address: "Av. Larco 1",
    payment_method: "yape",
    customer_name: "Ana",
    customer_email: "ana@example.com",
    retry_count: 0,
  },
  "camelCase, without a cart": {
    currentIntent: "order",
    orderStage: "cart",
    selectedItems: [
      { productId: "p1", name: "Pizza", quantity: 2, unitPrice: 15.5, notes: "no onions" },
      { name: "Water", qty: 1, price: 3 },
    ],
    orderTotal: 34,
    deliveryAddress: "Av. Larco 1",
    paymentMethod: "yape",
    customerName: "Ana",
    customerEmail: "ana@example.com",
    retryCount: 0,
  },
  "other names, and numbers as text": {
    intent: "order",
    current_step: "cart",
    selected_items: [
      { product_id: "p1", name: "Pizza", quantity: "2", unit_price: "15.50", notes: "no onions" },
      { name: "Water", qty: 1, price: "3" },
    ],
    order_total: "34.00",
    delivery_address: "Av. Larco 1",
    payment_method: "yape",
    customer_name: "Ana",
    customer_email: "ana@example.com",
    retry_count: "0",
  },
};

for (const [name, state] of Object.entries(SPELLINGS)) {
  Deno.test(`mapGraphState() reads ${name}`, () => {
    assertEquals(mapGraphState(state), MEANT);
  });
}

Deno.test("mapGraphState() leaves out what is the agent's own", () => {
  assertEquals(
    mapGraphState({
      current_intent: "order",
      order_stage: "cart",
      messages: [{ content: "my card is 4111…" }],
      scratchpad: "thoughts",
      response: "Here you are",
      order_id: "o1",
      cart: { items: [{ name: "Pizza", internal_margin: 0.4 }], total: 1, coupon: "x" },
    }),
    {
      intent: "order",
      step: "cart",
      context: { selectedItems: [{ name: "Pizza" }], orderTotal: 1 },
    },
  );
});

Deno.test("mapGraphState() keeps an empty cart, for the customer has emptied it", () => {
  assertEquals(mapGraphState({ cart: { items: [], total: 0 } }), {
    context: { selectedItems: [], orderTotal: 0 },
  });
});

Deno.test("mapGraphState() takes the first spelling that has a value", () => {
  assertEquals(
    mapGraphState({
      current_intent: null,
      currentIntent: "",
      intent: "menu",
      order_stage: 3,
      step: "x",
    }),
    { intent: "menu", step: "x", context: {} },
  );
});

Deno.test("mapGraphState() makes nothing of values that cannot be meant", () => {
  for (
    const state of [
      {},
      { cart: null, customer_name: null, retry_count: "often" },
      { cart: { items: "none", total: NaN }, delivery_address: 7 },
      { cart: [], order_total: "" },
      null as unknown as Record<string, unknown>,
    ]
  ) assertEquals(mapGraphState(state), { context: {} });
  assertEquals(mapGraphState({ cart: { items: [null, 1, {}, { name: "Tea" }] } }), {
    context: { selectedItems: [{ name: "Tea" }] },
  });
});

Deno.test("mapGraphState() keeps an address that has parts", () => {
  const deliveryAddress = { street: "Av. Larco 1", district: "Miraflores" };
  assertEquals(mapGraphState({ delivery_address: deliveryAddress }).context, { deliveryAddress });
});
