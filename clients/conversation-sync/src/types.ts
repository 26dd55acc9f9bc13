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
  /** Id of the product. */
  id?: string;
  /** Name of the product. */
  name?: string;
  /** How many the customer wants. */
  quantity?: number;
  /** Price of one. */
  price?: number;
  /** The customer's wishes, such as "no onions". */
  notes?: string;
  /** Other fields of the agent. */
  [key: string]: unknown;
}

/** A message as the session's context keeps it. */
export interface PreviousMessage {
  /** Who wrote it. */
  role: MessageRole;
  /** The text. */
  content: string;
  /** When it was written. */
  timestamp?: string;
  /** Fields that the API adds later. */
  [key: string]: unknown;
}

/** What an agent remembers of a conversation: an open object, of which these keys are known. */
export interface ConversationContext {
  /** The cart. */
  selectedItems?: SelectedItem[];
  /** A text or an object, as the agent writes it. */
  deliveryAddress?: unknown;
  /** Sum of the cart. */
  orderTotal?: number;
  /** Such as `yape` or `card`. */
  paymentMethod?: string;
  /** Name of the customer. */
  customerName?: string;
  /** Email address of the customer. */
  customerEmail?: string;
  /** The newest 50, oldest first. Written by the API. */
  previousMessages?: PreviousMessage[];
  /** Written by the API. */
  lastUserMessage?: string;
  /** The agent's own count of attempts. */
  retryCount?: number;
  /** The newest linked order. Written by the API. */
  currentOrderId?: string;
  /** All linked orders, oldest first. Written by the API. */
  orderHistory?: unknown[];
  /** Other fields of the agent. */
  [key: string]: unknown;
}

/** The state of a session. */
export interface ConversationState {
  /** Id of the session. */
  sessionId: string;
  /** The customer: digits of a phone number, a BSUID, or an id of another platform. */
  userId?: string | null | undefined;
  /** The bot that the session belongs to. */
  botId?: string | null | undefined;
  /** Slug of the workspace: the business. */
  subDomain?: string | null | undefined;
  /** Branch of the business. */
  localId?: string | null | undefined;
  /** What the customer wants, such as `order`; `idle` at first. */
  currentIntent?: string | null | undefined;
  /** How far that has come, such as `cart`; `initial` at first. */
  currentStep?: string | null | undefined;
  /** The intent before the current one. */
  previousIntent?: string | null | undefined;
  /** The step before the current one. */
  previousStep?: string | null | undefined;
  /** What the agent remembers; empty where the API sends none. */
  context: ConversationContext;
  /** Facts about the session itself, such as `phoneNumberId`. */
  metadata?: Record<string, unknown> | null | undefined;
  /** False once the session has ended. */
  isActive?: boolean | null | undefined;
  /** Time of the last write. */
  lastActivity?: string | null | undefined;
  /** When the session began. */
  createdAt?: string | null | undefined;
  /** When the session last changed. */
  updatedAt?: string | null | undefined;
  /** When it ends without another write. */
  expiresAt?: string | null | undefined;
  /** The newest linked order. */
  currentOrderId?: string | null | undefined;
  /** All linked orders, oldest first. */
  orderHistory?: unknown[] | null | undefined;
  /** Raised by one with every write. */
  version?: number | null | undefined;
  /** Fields that the API adds later. */
  [key: string]: unknown;
}

/** Which business a customer is talking to. */
export interface TenantInfo {
  /** Slug of the workspace: the business. */
  subDomain: string;
  /** The customer's newest active session. */
  sessionId: string;
  /** The bot of that session. */
  botId?: string | null | undefined;
  /** Branch of the business. */
  localId?: string | null | undefined;
  /** Whether the session is active. */
  isActive?: boolean | null | undefined;
  /** Fields that the API adds later. */
  [key: string]: unknown;
}

/** Which business a WhatsApp number belongs to. */
export interface BusinessInfo {
  /** Slug of the workspace: the business. */
  subDomain: string;
  /** Branch of the business. */
  localId?: string | null | undefined;
  /** The connection of that number. */
  connectionId?: string | null | undefined;
  /** Whether the connection is switched on. */
  isActive?: boolean | null | undefined;
  /** Fields that the API adds later. */
  [key: string]: unknown;
}

/** A page of conversations. */
export interface ConversationPage {
  /** The sessions of this page, newest first. */
  conversations: ConversationState[];
  /** How many there are on all pages. */
  total?: number | null | undefined;
  /** Largest number of sessions on a page. */
  limit?: number | null | undefined;
  /** Number of sessions before this page. */
  offset?: number | null | undefined;
  /** Fields that the API adds later. */
  [key: string]: unknown;
}

/** The orders of a session. */
export interface ConversationOrders {
  /** Id of the session. */
  sessionId: string;
  /** The newest linked order. */
  currentOrderId?: string | null | undefined;
  /** All linked orders, oldest first. */
  orderHistory?: unknown[] | null | undefined;
  /** Fields that the API adds later. */
  [key: string]: unknown;
}
