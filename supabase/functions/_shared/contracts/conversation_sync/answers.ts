/**
 * The answers of conversation-sync. The TypeScript client publishes this file, so it imports nothing but zod
 * and writes its types out, as the documentation of a package needs them; `satisfies` ties each schema to its type.
 *
 * @module
 */
import * as z from "zod";

/** Author of a message: the customer (`user`) or the agent (`bot`). */
export type MessageRole = "user" | "bot";

/** Schema of {@linkcode MessageRole}. */
export const messageRole = z.enum(["user", "bot"]) satisfies z.ZodType<MessageRole>;

/** An article in the cart. */
export interface SelectedItem {
  /** Id of the product. */
  id?: string | undefined;
  /** Name of the product. */
  name?: string | undefined;
  /** How many. */
  quantity?: number | undefined;
  /** Price of one. */
  price?: number | undefined;
  /** The customer's wishes. */
  notes?: string | undefined;
  /** Other keys are kept. */
  [key: string]: unknown;
}

/** Schema of {@linkcode SelectedItem}. */
export const selectedItem = z.looseObject({
  id: z.string(),
  name: z.string(),
  quantity: z.number(),
  price: z.number(),
  notes: z.string(),
}).partial() satisfies z.ZodType<SelectedItem>;

/** A message in a session: an element of `agent_sessions.messages`. */
export interface PreviousMessage {
  /** Author. */
  role: MessageRole;
  /** The text. */
  content: string;
  /** ISO 8601. */
  timestamp?: string | undefined;
  /** Other keys are kept. */
  [key: string]: unknown;
}

/** Schema of {@linkcode PreviousMessage}. */
export const previousMessage = z.looseObject({
  role: messageRole,
  content: z.string(),
  timestamp: z.string().optional().meta({ description: "ISO 8601." }),
}) satisfies z.ZodType<PreviousMessage>;

/**
 * The state that an agent stores, `agent_sessions.context`: an open object. Agents choose what they store
 * under the known keys; the API itself writes `previousMessages` and `lastUserMessage`, and keeps the orders.
 */
export interface ConversationContext {
  /** The cart. */
  selectedItems?: SelectedItem[] | undefined;
  /** Where to deliver, in any form. */
  deliveryAddress?: unknown;
  /** Total of the cart. */
  orderTotal?: number | undefined;
  /** How the customer pays. */
  paymentMethod?: string | undefined;
  /** The customer's name. */
  customerName?: string | undefined;
  /** The customer's e-mail address. */
  customerEmail?: string | undefined;
  /** How often the agent has asked again. */
  retryCount?: number | undefined;
  /** The newest 50, oldest first. Written by the API. */
  previousMessages?: PreviousMessage[] | undefined;
  /** Written by the API. */
  lastUserMessage?: string | undefined;
  /** The order that was linked last, the same as `currentOrderId` of the session. A new id in a context links that order. */
  currentOrderId?: string | undefined;
  /** Every linked order, oldest first, the same as `orderHistory` of the session. New ids in a context are linked. */
  orderHistory?: unknown[] | undefined;
  /** Other keys are kept. */
  [key: string]: unknown;
}

/** Schema of {@linkcode ConversationContext}. */
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
  currentOrderId: z.string().meta({
    description: "The order that was linked last. A new id in a context links that order.",
  }),
  orderHistory: z.array(z.unknown()).meta({
    description: "Every linked order, oldest first. New ids in a context are linked.",
  }),
}).partial().meta({
  description: "Open: other keys are kept as they come.",
}) satisfies z.ZodType<ConversationContext>;

/** Facts about the agent and the channel, `agent_sessions.metadata`: an open object. */
export interface ConversationMetadata {
  /** Meta's id of the business number of this conversation. */
  phoneNumberId?: string | undefined;
  /** Platform of the customer, `whatsapp` by default. */
  platform?: string | undefined;
  /** Other keys are kept. */
  [key: string]: unknown;
}

/** Schema of {@linkcode ConversationMetadata}. */
export const conversationMetadata = z.looseObject({
  phoneNumberId: z.string().meta({
    description:
      "Meta's id of the business number of this conversation. Needed where a business has several.",
  }),
  platform: z.string().meta({ description: "Platform of the customer, `whatsapp` by default." }),
}).partial().meta({
  description: "Open: other keys are kept as they come.",
}) satisfies z.ZodType<ConversationMetadata>;

/** A session of a customer with a business. Times are ISO 8601 in UTC. */
export interface AgentSession {
  /** Id of the session. */
  sessionId: string;
  /** Digits of the phone number, or another identifier as it came. */
  userId: string;
  /** The bot; null where the agent names none. */
  botId: string | null;
  /** Slug of the workspace. */
  subDomain: string;
  /** Branch of the business; null where the agent names none. */
  localId: string | null;
  /** What the customer wants, in the agent's words. */
  currentIntent: string;
  /** How far it got, in the agent's words. */
  currentStep: string;
  /** The intent before the last change. */
  previousIntent: string | null;
  /** The step before the last change. */
  previousStep: string | null;
  /** The state that the agent stores. */
  context: ConversationContext;
  /** Facts about the agent and the channel. */
  metadata: ConversationMetadata;
  /** False once the session has ended or expired. */
  isActive: boolean;
  /** Time of the last write. */
  lastActivity: string;
  /** Time of creation. */
  createdAt: string;
  /** Time of the last change. */
  updatedAt: string;
  /** When the session expires unless it is written again. */
  expiresAt: string;
  /** The order linked last. */
  currentOrderId: string | null;
  /** Every linked order, oldest first. */
  orderHistory: string[];
  /** Increases by one with every write. */
  version: number;
}

/** Schema of {@linkcode AgentSession}. */
export const agentSession = z.object({
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
}).meta({ id: "AgentSession" }) satisfies z.ZodType<AgentSession>;

/** The business that a customer is talking to. */
export interface Tenant {
  /** Slug of the workspace. */
  subDomain: string;
  /** The bot; null where the agent names none. */
  botId: string | null;
  /** Id of the session. */
  sessionId: string;
  /** False once the session has ended or expired. */
  isActive: boolean;
  /** Branch of the business. */
  localId?: string | undefined;
}

/** Schema of {@linkcode Tenant}. */
export const tenant = z.object({
  subDomain: z.string(),
  botId: z.string().nullable(),
  sessionId: z.string(),
  isActive: z.boolean(),
  localId: z.string().optional(),
}) satisfies z.ZodType<Tenant>;

/** The business that a WhatsApp number belongs to. */
export interface Business {
  /** Slug of the workspace. */
  subDomain: string;
  /** Branch of the business. */
  localId?: string | undefined;
  /** The connection of the number. */
  connectionId: string;
  /** False while the connection is switched off. */
  isActive: boolean;
}

/** Schema of {@linkcode Business}. */
export const business = z.object({
  subDomain: z.string(),
  localId: z.string().optional(),
  connectionId: z.string(),
  isActive: z.boolean(),
}) satisfies z.ZodType<Business>;

/** A page of active sessions, newest first. */
export interface SessionPage {
  /** The sessions of this page. */
  conversations: AgentSession[];
  /** Sessions on all pages. */
  total: number;
  /** Sessions on a page, at most. */
  limit: number;
  /** Sessions before this page. */
  offset: number;
}

/** Schema of {@linkcode SessionPage}. */
export const sessionPage = z.object({
  conversations: z.array(agentSession),
  total: z.int().meta({ description: "Sessions on all pages." }),
  limit: z.int(),
  offset: z.int(),
}) satisfies z.ZodType<SessionPage>;

/** The orders of a session. */
export interface SessionOrders {
  /** Id of the session. */
  sessionId: string;
  /** The order linked last. */
  currentOrderId: string | null;
  /** Every linked order, oldest first. */
  orderHistory: string[];
}

/** Schema of {@linkcode SessionOrders}. */
export const sessionOrders = z.object({
  sessionId: z.string(),
  currentOrderId: z.string().nullable(),
  orderHistory: z.array(z.string()),
}) satisfies z.ZodType<SessionOrders>;

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
export const agentConflict = agentError.extend({ data: agentSession })
  .meta({ id: "AgentConflict" });

/** The answer of the health check. */
export const health = z.object({ status: z.literal("ok") });
