/**
 * From the state of a LangGraph graph to what the API stores: intent, step and context. Pure.
 *
 * | graph state (the first spelling that has a usable value counts) | goes to |
 * |---|---|
 * | `current_intent`, `currentIntent`, `intent` | intent |
 * | `order_stage`, `orderStage`, `current_step`, `currentStep`, `step` | step |
 * | `cart.items`, `selected_items`, `selectedItems` | `context.selectedItems` |
 * | `cart.total`, `order_total`, `orderTotal` | `context.orderTotal` |
 * | `delivery_address`, `deliveryAddress` | `context.deliveryAddress` |
 * | `payment_method`, `paymentMethod` | `context.paymentMethod` |
 * | `customer_name`, `customerName` | `context.customerName` |
 * | `customer_email`, `customerEmail` | `context.customerEmail` |
 * | `retry_count`, `retryCount` | `context.retryCount` |
 *
 * | item of the cart | goes to |
 * |---|---|
 * | `id`, `product_id`, `productId` | `id` |
 * | `name` | `name` |
 * | `quantity`, `qty` | `quantity` |
 * | `price`, `unit_price`, `unitPrice` | `price` |
 * | `notes` | `notes` |
 *
 * Everything else is left out: a graph's state also holds its messages, its tools' answers and the agent's own
 * data. Messages and orders have calls of their own. Unusable values are left out too: null, an empty text for
 * an intent, a total that is not a number. A number may be written as text.
 *
 * @module
 */

import type { ConversationContext, SelectedItem } from "./answers.ts";

/** The values of a graph's state, as `(await graph.getState(config)).values` gives them. */
export type GraphState = Readonly<Record<string, unknown>>;

/** What of a graph's state the API stores. Absent: the graph says nothing of it. */
export interface GraphStateMapping {
  /** What the customer wants. */
  intent?: string;
  /** How far that has come. */
  step?: string;
  /** Empty when there is nothing to store. */
  context: ConversationContext;
}

/**
 * Translates the state of a graph; see the tables above.
 *
 * @example
 * ```ts
 * mapGraphState({ current_intent: "order", order_stage: "cart", cart: { items: [], total: 0 } });
 * // { intent: "order", step: "cart", context: { selectedItems: [], orderTotal: 0 } }
 * ```
 */
export function mapGraphState(graphState: GraphState): GraphStateMapping {
  const state = asRecord(graphState) ?? {};
  const cart = asRecord(state.cart) ?? {};
  const items = readList([cart.items, state.selected_items, state.selectedItems]);
  return withoutAbsent<GraphStateMapping>({
    intent: readText([state.current_intent, state.currentIntent, state.intent]),
    step: readText([
      state.order_stage,
      state.orderStage,
      state.current_step,
      state.currentStep,
      state.step,
    ]),
    context: withoutAbsent<ConversationContext>({
      selectedItems: items?.flatMap(readItem),
      orderTotal: readNumber([cart.total, state.order_total, state.orderTotal]),
      deliveryAddress: readAddress([state.delivery_address, state.deliveryAddress]),
      paymentMethod: readText([state.payment_method, state.paymentMethod]),
      customerName: readText([state.customer_name, state.customerName]),
      customerEmail: readText([state.customer_email, state.customerEmail]),
      retryCount: readNumber([state.retry_count, state.retryCount]),
    }),
  });
}

function readItem(value: unknown): SelectedItem[] {
  const item = asRecord(value);
  if (item === undefined) return [];
  const read = withoutAbsent<SelectedItem>({
    id: readId([item.id, item.product_id, item.productId]),
    name: readText([item.name]),
    quantity: readNumber([item.quantity, item.qty]),
    price: readNumber([item.price, item.unit_price, item.unitPrice]),
    notes: readText([item.notes]),
  });
  return Object.keys(read).length > 0 ? [read] : [];
}

function readText(values: readonly unknown[]): string | undefined {
  return values.find((value): value is string => typeof value === "string" && value !== "");
}

function readId(values: readonly unknown[]): string | undefined {
  return readText(values.map((value) => typeof value === "number" ? String(value) : value));
}

function readNumber(values: readonly unknown[]): number | undefined {
  return values
    .map((value) => typeof value === "string" && value.trim() !== "" ? Number(value) : value)
    .find((value): value is number => typeof value === "number" && Number.isFinite(value));
}

function readList(values: readonly unknown[]): unknown[] | undefined {
  return values.find((value): value is unknown[] => Array.isArray(value));
}

function readAddress(values: readonly unknown[]): unknown {
  return readText(values) ?? values.map(asRecord).find((value) => value !== undefined);
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Record<string, unknown>
    : undefined;
}

/** The record without the keys that are undefined; the caller says what that makes it. */
function withoutAbsent<T>(record: Record<string, unknown>): T {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T;
}
