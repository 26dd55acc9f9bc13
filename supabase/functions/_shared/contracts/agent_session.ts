/**
 * What an AI agent's session is: the columns of `agent_sessions` that hold JSON, the state agents are
 * answered with, and the row it is made of.
 *
 * @module
 */
import * as z from "zod";

/** A message as a session keeps it: an element of `agent_sessions.messages`. */
export const agentMessage = z.object({
  role: z.enum(["user", "bot"]),
  content: z.string(),
  timestamp: z.iso.datetime(),
});

/** A message of a session. */
export type AgentMessage = z.output<typeof agentMessage>;

/**
 * What an agent keeps, `agent_sessions.context` and the columns beside it: an open object. Of the keys
 * that are known, the last four are written by adding messages and linking orders; what an agent sends
 * under their names is left out as soon as there are any.
 */
export const agentContext = z.looseObject({
  selectedItems: z.array(z.looseObject({
    id: z.string(),
    name: z.string(),
    quantity: z.number(),
    price: z.number(),
    notes: z.string().optional(),
  })),
  deliveryAddress: z.unknown(),
  orderTotal: z.number(),
  paymentMethod: z.string(),
  customerName: z.string(),
  customerEmail: z.string(),
  retryCount: z.number(),
  previousMessages: z.array(agentMessage).meta({ description: "The newest 50, oldest first." }),
  lastUserMessage: z.string(),
  currentOrderId: z.string(),
  orderHistory: z.array(z.string()),
}).partial().meta({ description: "Open: other keys are kept as they come." });

/** What an agent keeps. */
export type AgentContext = Record<string, unknown>;

/** What an agent says about itself, `agent_sessions.metadata`: an open object. */
export const agentMetadata = z.looseObject({
  phoneNumberId: z.string().meta({
    description:
      "Meta's id of the business number of this conversation. Needed where a business has several.",
  }),
  platform: z.string().meta({ description: "Where the customer writes, `whatsapp` by default." }),
}).partial().meta({ description: "Open: other keys are kept as they come." });

/** What an agent says about itself. */
export type AgentMetadata = Record<string, unknown>;

/** The state of a session, as agents are answered with. Times are ISO 8601 in UTC. */
export const agentSession = z.object({
  sessionId: z.string(),
  userId: z.string().meta({
    description: "Digits of the phone, or another identifier as it came.",
  }),
  botId: z.string().nullable(),
  subDomain: z.string(),
  localId: z.string().nullable(),
  currentIntent: z.string(),
  currentStep: z.string(),
  previousIntent: z.string().nullable(),
  previousStep: z.string().nullable(),
  context: agentContext,
  metadata: agentMetadata,
  isActive: z.boolean(),
  lastActivity: z.iso.datetime(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  currentOrderId: z.string().nullable(),
  orderHistory: z.array(z.string()),
  version: z.int().positive().meta({ description: "Raised by one with every write." }),
});

/** The state of a session. */
export interface AgentSession extends Omit<z.output<typeof agentSession>, "context" | "metadata"> {
  context: AgentContext;
  metadata: AgentMetadata;
}

/** A session as `private.agent_session_state` gives it. */
export interface SessionRow {
  session_id: string;
  user_id: string;
  bot_id: string | null;
  sub_domain: string;
  local_id: string | null;
  current_intent: string;
  current_step: string;
  previous_intent: string | null;
  previous_step: string | null;
  context: AgentContext;
  metadata: AgentMetadata;
  is_active: boolean;
  last_activity: string;
  created_at: string;
  updated_at: string;
  expires_at: string;
  current_order_id: string | null;
  order_history: string[];
  version: number;
}

/** The state that a row is. */
export function toAgentSession(row: SessionRow): AgentSession {
  return {
    sessionId: row.session_id,
    userId: row.user_id,
    botId: row.bot_id,
    subDomain: row.sub_domain,
    localId: row.local_id,
    currentIntent: row.current_intent,
    currentStep: row.current_step,
    previousIntent: row.previous_intent,
    previousStep: row.previous_step,
    context: row.context,
    metadata: row.metadata,
    isActive: row.is_active,
    lastActivity: toIso(row.last_activity),
    createdAt: toIso(row.created_at),
    updatedAt: toIso(row.updated_at),
    expiresAt: toIso(row.expires_at),
    currentOrderId: row.current_order_id,
    orderHistory: row.order_history,
    version: row.version,
  };
}

function toIso(time: string): string {
  return new Date(time).toISOString();
}
