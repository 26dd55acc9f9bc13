/**
 * A client of the conversation-sync API: keeps the state of an AI agent's conversations, and never gets in
 * the agent's way.
 *
 * Three ways to use it: functions ({@linkcode initializeConversationForUser} and its companions), a scope
 * ({@linkcode openConversation}), and the API itself ({@linkcode ConversationStateService}).
 *
 * @module
 */

export {
  addMessageToConversation,
  type InitializeArguments,
  initializeConversationForUser,
  linkOrderToConversation,
  sharedService,
  type SyncGraphStateArguments,
  syncGraphStateToApi,
} from "./conversation.ts";
export { ConversationScope, type MessageOptions, openConversation } from "./conversation_scope.ts";
export { ConversationSyncError, type FailureDetails, type FailureKind } from "./errors.ts";
export { type GraphState, type GraphStateMapping, mapGraphState } from "./graph_state.ts";
export { consoleLogger, type LogFields, type Logger, silentLogger } from "./log.ts";
export type { CallMetrics, SyncMetrics } from "./metrics.ts";
export {
  type CallOptions,
  ConversationStateService,
  type ConversationStateServiceOptions,
  type CreateArguments,
  type ListArguments,
  type MessageArguments,
  type SessionArguments,
  type SyncArguments,
  type TenantArguments,
  type WriteArguments,
} from "./service.ts";
export { type Environment, type EnvironmentSettings, readEnvironment } from "./settings.ts";
export type {
  AgentSession,
  Business,
  BusinessInfo,
  ConversationContext,
  ConversationMetadata,
  ConversationOrders,
  ConversationPage,
  ConversationState,
  Lenient,
  MessageRole,
  PreviousMessage,
  SelectedItem,
  SessionOrders,
  SessionPage,
  Tenant,
  TenantInfo,
} from "./answers.ts";
