/**
 * What the API's answers look like. Fields the API adds later are kept, under their own names.
 *
 * Only `sessionId` (and what a look-up is for) is sure to be there: older servers leave fields out.
 * Times are ISO 8601 in UTC.
 *
 * @module
 */

/** Who wrote a message: the customer, or the agent. */
export type MessageRole = "user" | "bot";

/** An article in the cart. */
export interface SelectedItem {
  id?: string;
  name?: string;
  quantity?: number;
  price?: number;
  notes?: string;
  [key: string]: unknown;
}

/** A message as the session's context keeps it. */
export interface PreviousMessage {
  role: MessageRole;
  content: string;
  timestamp?: string;
  [key: string]: unknown;
}

/** What an agent remembers of a conversation: an open object, of which these keys are known. */
export interface ConversationContext {
  selectedItems?: SelectedItem[];
  deliveryAddress?: unknown;
  orderTotal?: number;
  paymentMethod?: string;
  customerName?: string;
  customerEmail?: string;
  /** The newest 50, oldest first. Written by the API. */
  previousMessages?: PreviousMessage[];
  /** Written by the API. */
  lastUserMessage?: string;
  retryCount?: number;
  currentOrderId?: string;
  orderHistory?: unknown[];
  [key: string]: unknown;
}

/** The state of a session. */
export interface ConversationState {
  sessionId: string;
  userId?: string | null | undefined;
  botId?: string | null | undefined;
  subDomain?: string | null | undefined;
  localId?: string | null | undefined;
  currentIntent?: string | null | undefined;
  currentStep?: string | null | undefined;
  previousIntent?: string | null | undefined;
  previousStep?: string | null | undefined;
  context: ConversationContext;
  metadata?: Record<string, unknown> | null | undefined;
  isActive?: boolean | null | undefined;
  lastActivity?: string | null | undefined;
  createdAt?: string | null | undefined;
  updatedAt?: string | null | undefined;
  expiresAt?: string | null | undefined;
  currentOrderId?: string | null | undefined;
  orderHistory?: unknown[] | null | undefined;
  /** Raised by one with every write. */
  version?: number | null | undefined;
  [key: string]: unknown;
}

/** Which business a customer is talking to. */
export interface TenantInfo {
  subDomain: string;
  sessionId: string;
  botId?: string | null | undefined;
  localId?: string | null | undefined;
  isActive?: boolean | null | undefined;
  [key: string]: unknown;
}

/** Which business a WhatsApp number belongs to. */
export interface BusinessInfo {
  subDomain: string;
  localId?: string | null | undefined;
  connectionId?: string | null | undefined;
  isActive?: boolean | null | undefined;
  [key: string]: unknown;
}

/** A page of conversations. */
export interface ConversationPage {
  conversations: ConversationState[];
  /** How many there are on all pages. */
  total?: number | null | undefined;
  limit?: number | null | undefined;
  offset?: number | null | undefined;
  [key: string]: unknown;
}

/** The orders of a session. */
export interface ConversationOrders {
  sessionId: string;
  currentOrderId?: string | null | undefined;
  orderHistory?: unknown[] | null | undefined;
  [key: string]: unknown;
}
