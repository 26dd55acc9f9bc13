/**
 * Refusals: the codes that SQL functions raise with SQLSTATE `PT<status>`, and the status and text that the
 * caller gets. `docs/errors.md` lists the same codes.
 *
 * @module
 */

/** Status and text of a refusal. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 404 | 409 | 413 | 422 | 429;
  /** What is wrong and what to do, for people. */
  readonly message: string;
}

/** By code. */
export const REFUSALS = {
  workspace_not_found: {
    status: 404,
    message: "Workspace not found, or you have no access to it",
  },
  conversation_not_found: { status: 404, message: "Conversation not found" },
  message_not_found: { status: 404, message: "Message not found" },
  person_not_found: { status: 404, message: "Contact not found" },
  merge_not_found: { status: 404, message: "Merge not found" },
  connection_not_found: { status: 404, message: "Connection not found" },
  connection_inactive: { status: 403, message: "Connection is inactive" },
  invalid_connection: { status: 401, message: "Invalid connection_id or platform" },
  invalid_api_key: { status: 401, message: "Invalid API key" },
  version_conflict: {
    status: 409,
    message: "It was changed in the meantime: read it again and send its version",
  },
  upload_not_found: {
    status: 404,
    message:
      "This file was not uploaded for this conversation and type, or too long ago. Upload it again",
  },
  role_too_low: { status: 403, message: "Your role in this workspace does not allow this" },
  platform_without_sending: {
    status: 422,
    message: "You can't send on this platform from here. Reply in its own app",
  },
  connection_not_ready: {
    status: 422,
    message:
      "The phone number of this conversation is switched off, was removed or is not connected to Kapso",
  },
  no_recipient: {
    status: 422,
    message: "This contact has neither a phone number nor an id, so nothing can be sent to them",
  },
  window_closed: {
    status: 422,
    message:
      "It has been over 24 hours since the customer's last message, so WhatsApp allows only a template. Choose one",
  },
  invalid_message: { status: 422, message: "This message cannot be sent as it is" },
  idempotency_key_reused: {
    status: 409,
    message: "This idempotency_key belongs to another message. Use a new one for each message",
  },
  possible_double: {
    status: 409,
    message:
      "This message may have been sent already. Retry with confirm_possible_double if the customer may get it twice",
  },
  nothing_to_retry: {
    status: 409,
    message: "This message was sent, is being sent or was discarded",
  },
  nothing_to_discard: {
    status: 409,
    message: "Only a message that failed or is unconfirmed can be discarded",
  },
  not_a_member: {
    status: 422,
    message: "Only a member of the workspace who may reply can be assigned",
  },
  same_person: { status: 422, message: "These are the same contact" },
  phone_taken: {
    status: 409,
    message: "Another contact of this workspace has this phone number",
  },
  merge_undone: { status: 409, message: "This merge was already undone" },
  merge_not_last: {
    status: 409,
    message: "This contact was merged again later. Undo the later merge first",
  },
  connection_id_taken: {
    status: 409,
    message: "This connection_id is already in use",
  },
  phone_number_taken: {
    status: 409,
    message:
      "Another connection has this phone number, and its Kapso key is valid. Remove the number there first",
  },
  invalid_connection_settings: {
    status: 422,
    message: "connection_id, name, platform or phone_number_id is not valid",
  },
  sync_run_lost: { status: 409, message: "Another request has taken over this run" },
  date_out_of_range: {
    status: 400,
    message: "date must be within the last 366 days, and not in the future",
  },
  // Limits: supabase/schemas/05_limits.sql
  rate_limited: { status: 429, message: "Too many requests with this key. Slow down" },
  webhook_quota_exceeded: {
    status: 429,
    message: "The webhook events of this workspace have reached their limit for today",
  },
  too_many_agent_sessions: {
    status: 429,
    message: "This workspace has reached its limit of new agent sessions for today",
  },
  too_many_workspaces: {
    status: 422,
    message: "You have as many workspaces as a user may create. Delete one first",
  },
  too_many_connections: {
    status: 422,
    message: "This workspace has as many connections as it may have. Delete one first",
  },
  too_many_tags: { status: 422, message: "A workspace has at most 100 tags" },
  too_many_canned_replies: {
    status: 422,
    message: "A workspace has at most 500 canned replies",
  },
  // AI agents and their keys
  agent_key_not_found: {
    status: 404,
    message: "Agent key not found, or you do not manage any of its workspaces",
  },
  different_owners: {
    status: 422,
    message: "The workspaces of an agent key must have the same owner: create one key per owner",
  },
  business_not_found: { status: 404, message: "No business of this key has this phone number" },
  session_not_found: { status: 404, message: "Session not found in the workspaces of this key" },
  session_not_active: {
    status: 404,
    message: "The session has ended or expired. Create a new one",
  },
  invalid_agent_key: { status: 401, message: "Invalid or revoked agent key" },
  context_too_large: { status: 413, message: "context must be at most 256 KB in total" },
  metadata_too_large: { status: 413, message: "metadata must be at most 64 KB in total" },
} as const satisfies Readonly<Record<string, Refusal>>;

/** Codes of refusals. */
export type RefusalCode = keyof typeof REFUSALS;
