/**
 * The answers of conversation-sync. The TypeScript client publishes this file, so it imports nothing but zod.
 *
 * @module
 */
import * as z from "zod";

/** Author of a message: the customer (`user`) or the agent (`bot`). */
export const messageRole = z.enum(["user", "bot"]);

/** Author of a message: the customer (`user`) or the agent (`bot`). */
export type MessageRole = z.output<typeof messageRole>;

/** An article in the cart. */
export const selectedItem = z.looseObject({
  id: z.string(),
  name: z.string(),
  quantity: z.number(),
  price: z.number(),
  notes: z.string(),
}).partial();

/** An article in the cart. */
export type SelectedItem = z.output<typeof selectedItem>;

/** A message in a session: an element of `agent_sessions.messages`. */
export const previousMessage = z.looseObject({
  role: messageRole,
  content: z.string(),
  timestamp: z.string().optional().meta({ description: "ISO 8601." }),
});

/** A message in a session. */
export type PreviousMessage = z.output<typeof previousMessage>;

/**
 * The state that an agent stores, `agent_sessions.context`: an open object. Agents choose what they store
 * under the known keys; the API itself writes the last four.
 */
export const conversationContext = z.looseObject({
  selectedItems: z.array(selectedItem),
  deliveryAddress: z.unknown(),
  orderTotal: z.number(),
  paymentMethod: z.string(),
  customerName: z.string(),
  customerEmail: z.string(),
  retryCount: z.number(),
  previousMessages: z.array(previousMessage).meta({
    description: "The newest 50, oldest first. Written by the API.",
  }),
  lastUserMessage: z.string().meta({ description: "Written by the API." }),
  currentOrderId: z.string().meta({ description: "Written by the API." }),
  orderHistory: z.array(z.unknown()).meta({ description: "Written by the API." }),
}).partial().meta({ description: "Open: other keys are kept as they come." });

/** The state that an agent stores: an open object with some known keys. */
export type ConversationContext = z.output<typeof conversationContext>;

/** Facts about the agent and the channel, `agent_sessions.metadata`: an open object. */
export const conversationMetadata = z.looseObject({
  phoneNumberId: z.string().meta({
    description:
      "Meta's id of the business number of this conversation. Needed where a business has several.",
  }),
  platform: z.string().meta({ description: "Platform of the customer, `whatsapp` by default." }),
}).partial().meta({ description: "Open: other keys are kept as they come." });

/** Facts about the agent and the channel. */
export type ConversationMetadata = z.output<typeof conversationMetadata>;

/** The state of a session. Times are ISO 8601 in UTC. */
export const conversationState = z.object({
  sessionId: z.string(),
  userId: z.string().meta({
    description: "Digits of the phone number, or another identifier as it came.",
  }),
  botId: z.string().nullable(),
  subDomain: z.string(),
  localId: z.string().nullable(),
  currentIntent: z.string(),
  currentStep: z.string(),
  previousIntent: z.string().nullable(),
  previousStep: z.string().nullable(),
  context: conversationContext,
  metadata: conversationMetadata,
  isActive: z.boolean(),
  lastActivity: z.iso.datetime(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  currentOrderId: z.string().nullable(),
  orderHistory: z.array(z.string()),
  version: z.int().positive().meta({ description: "Increases by one with every write." }),
}).meta({ id: "AgentSession" });

/** The state of a session. */
export type ConversationState = z.output<typeof conversationState>;

/** The business that a customer is talking to. */
export const tenant = z.object({
  subDomain: z.string(),
  botId: z.string().nullable(),
  sessionId: z.string(),
  isActive: z.boolean(),
  localId: z.string().optional(),
});

/** The business that a customer is talking to. */
export type Tenant = z.output<typeof tenant>;

/** The business that a WhatsApp number belongs to. */
export const business = z.object({
  subDomain: z.string(),
  localId: z.string().optional(),
  connectionId: z.string(),
  isActive: z.boolean(),
});

/** The business that a WhatsApp number belongs to. */
export type Business = z.output<typeof business>;

/** A page of active sessions, newest first. */
export const conversationPage = z.object({
  conversations: z.array(conversationState),
  total: z.int().meta({ description: "Sessions on all pages." }),
  limit: z.int(),
  offset: z.int(),
});

/** A page of active sessions. */
export type ConversationPage = z.output<typeof conversationPage>;

/** The orders of a session. */
export const conversationOrders = z.object({
  sessionId: z.string(),
  currentOrderId: z.string().nullable(),
  orderHistory: z.array(z.string()),
});

/** The orders of a session. */
export type ConversationOrders = z.output<typeof conversationOrders>;

/** The body of a successful answer. */
export function success<Data extends z.ZodType>(data: Data) {
  return z.object({ type: z.literal("1"), message: z.string(), data });
}

/** The body of an error. */
export const agentError = z.object({
  type: z.literal("3"),
  message: z.string(),
  code: z.string().meta({ description: "Stable code for programs; docs/errors.md lists them." }),
  request_id: z.string(),
}).meta({ id: "AgentError" });

/** The body of an error. */
export type AgentError = z.output<typeof agentError>;

/** The body of a version conflict, with the present state of the session. */
export const agentConflict = agentError.extend({ data: conversationState })
  .meta({ id: "AgentConflict" });

/** The answer of the health check. */
export const health = z.object({ status: z.literal("ok") });
