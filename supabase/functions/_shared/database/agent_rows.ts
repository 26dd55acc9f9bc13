/**
 * What the SQL functions of agents return in their JSON columns.
 *
 * @module
 */
import type {
  ConversationContext,
  ConversationMetadata,
} from "../contracts/conversation_sync/answers.ts";

/** A session, as `private.agent_session_state` makes it. */
export interface AgentSessionRow {
  session_id: string;
  user_id: string;
  bot_id: string | null;
  sub_domain: string;
  local_id: string | null;
  current_intent: string;
  current_step: string;
  previous_intent: string | null;
  previous_step: string | null;
  context: ConversationContext;
  metadata: ConversationMetadata;
  is_active: boolean;
  last_activity: string;
  created_at: string;
  updated_at: string;
  expires_at: string;
  current_order_id: string | null;
  order_history: string[];
  version: number;
}

/** The business of a WhatsApp number, as `find_agent_business` returns it. */
export interface AgentBusinessRow {
  sub_domain: string;
  connection_id: string;
  is_active: boolean;
}

/** A page of sessions, as `list_agent_sessions` returns it. */
export interface AgentSessionPage {
  /** Sessions on all pages. */
  total: number;
  sessions: AgentSessionRow[];
}

/** Result of writing a session. `conflict`: nothing was written, because it has another version. */
export type AgentWriteOutcome = "ok" | "created" | "conflict";
