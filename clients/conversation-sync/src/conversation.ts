/**
 * A conversation as a few functions, for an agent that does one thing after the other. They answer with
 * what happened, log what did not, and never throw (unless the service they are given has `throwOnError`).
 *
 * @module
 */

import { type GraphState, type GraphStateMapping, mapGraphState } from "./graph_state.ts";
import {
  ConversationStateService,
  type MessageArguments,
  type SessionArguments,
  type TenantArguments,
} from "./service.ts";

/** Arguments of {@linkcode initializeConversationForUser}. */
export interface InitializeArguments extends TenantArguments {
  /** The customer's number, in any spelling. */
  readonly userPhone: string;
  /** The bot that the session belongs to. */
  readonly botId?: string | undefined;
  /** Facts about the session, such as `phoneNumberId`; merged key by key. */
  readonly metadata?: Record<string, unknown> | undefined;
}

let shared: ConversationStateService | undefined;

/** The service that the functions of this module use without one of their own. Configured by the environment. */
export function sharedService(): ConversationStateService {
  return shared ??= new ConversationStateService();
}

/**
 * Finds the customer's active session with a business, or makes one.
 *
 * @returns Its id, or null when it is unavailable; the agent then continues without it.
 */
export async function initializeConversationForUser(
  { userPhone, ...rest }: InitializeArguments,
  service: ConversationStateService = sharedService(),
): Promise<string | null> {
  const state = await service.createConversation({ userId: userPhone, ...rest });
  return state?.sessionId ?? null;
}

/**
 * Adds what the customer (`user`) or the agent (`bot`) wrote.
 *
 * @returns Whether it is stored. After a false without a `messageId` it may be stored nevertheless, when
 * the answer was lost.
 */
export async function addMessageToConversation(
  message: SessionArguments & MessageArguments,
  service: ConversationStateService = sharedService(),
): Promise<boolean> {
  return await service.addMessage(message) !== null;
}

/** Arguments of {@linkcode syncGraphStateToApi}. */
export interface SyncGraphStateArguments extends SessionArguments {
  /** The graph's state, as LangGraph returns it. */
  readonly graphState: GraphState;
  /** Only sent together with intent and step. */
  readonly metadata?: Record<string, unknown> | undefined;
}

/**
 * Stores what {@linkcode mapGraphState} finds in a graph's state. With intent and step that is one sync.
 * A state that says less changes only what it says: its context, or its intent. A step without an intent
 * means nothing to the API and is left out.
 *
 * @returns Whether everything is stored; true, too, when there was nothing to store.
 */
export async function syncGraphStateToApi(
  { graphState, metadata, ...session }: SyncGraphStateArguments,
  service: ConversationStateService = sharedService(),
): Promise<boolean> {
  const mapping = readGraphState(graphState, service);
  return mapping !== undefined && await storeGraphState(mapping, { ...session, metadata }, service);
}

/** {@linkcode mapGraphState}, for a state that may be anything: undefined when reading it throws. */
export function readGraphState(
  graphState: GraphState,
  service: ConversationStateService,
): GraphStateMapping | undefined {
  try {
    return mapGraphState(graphState);
  } catch {
    // Not a word of the error: it may quote what the customer wrote.
    service.logger.error("conversation sync error", {
      operation: "mapGraphState",
      kind: "invalid_argument",
    });
    return undefined;
  }
}

/** Stores what {@linkcode readGraphState} has found. */
export async function storeGraphState(
  { intent, step, context }: GraphStateMapping,
  { metadata, ...session }: Omit<SyncGraphStateArguments, "graphState">,
  service: ConversationStateService,
): Promise<boolean> {
  if (intent !== undefined && step !== undefined) {
    const { sessionId } = session;
    const state = await service.syncConversationFromAgent(
      { sessionId, intent, step, context, metadata },
    );
    return state !== null;
  }
  if (intent !== undefined && await service.updateIntent({ ...session, intent }) === null) {
    return false;
  }
  if (Object.keys(context).length === 0) return service.isEnabled;
  return await service.updateContext({ ...session, context }) !== null;
}

/**
 * Links an order to the conversation; linking it again changes nothing.
 *
 * @returns Whether it is linked.
 */
export async function linkOrderToConversation(
  order: SessionArguments & { readonly orderId: string },
  service: ConversationStateService = sharedService(),
): Promise<boolean> {
  return await service.linkOrder(order) !== null;
}
