/**
 * A conversation as a scope: opened once, used, and closed at the end of a block.
 *
 * @module
 */

import {
  addMessageToConversation,
  type InitializeArguments,
  linkOrderToConversation,
  readGraphState,
  sharedService,
  storeGraphState,
} from "./conversation.ts";
import type { GraphState } from "./graph_state.ts";
import type { ConversationStateService, MessageArguments, SessionArguments } from "./service.ts";
import type { ConversationState } from "./answers.ts";

/**
 * Finds or makes the customer's session, and opens a scope on it. Where there is none to be had, the scope
 * does nothing, and its methods answer false.
 *
 * @example
 * ```ts
 * await using conv = await openConversation({ userPhone, subDomain: "restaurant-abc" });
 * await conv.addUserMessage(text);
 * ```
 */
export async function openConversation(
  { userPhone, botId, metadata, ...tenant }: InitializeArguments,
  service: ConversationStateService = sharedService(),
): Promise<ConversationScope> {
  const state = await service.createConversation({
    userId: userPhone,
    botId,
    metadata,
    ...tenant,
  });
  return new ConversationScope(state, tenant, service);
}

/** Options of a message. */
export type MessageOptions = Pick<MessageArguments, "messageId" | "timestamp">;

/**
 * A session in use; see {@linkcode openConversation}.
 *
 * Its methods may be called without waiting for them. What they send goes out one after the other, in the
 * order of the calls, and closing the scope waits for it.
 */
export class ConversationScope {
  /** Null when there is no session, and nothing is stored. */
  readonly sessionId: string | null;
  /** The session as it was when the scope was opened: what the agent knew of this customer. */
  readonly state: ConversationState | null;
  readonly #tenant: Omit<SessionArguments, "sessionId">;
  readonly #service: ConversationStateService;
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  /** Made by {@linkcode openConversation}. */
  constructor(
    state: ConversationState | null,
    tenant: Omit<SessionArguments, "sessionId">,
    service: ConversationStateService,
  ) {
    this.state = state;
    this.sessionId = state?.sessionId ?? null;
    this.#tenant = tenant;
    this.#service = service;
  }

  /**
   * Adds what the customer wrote.
   *
   * @param options With the platform's `messageId` the message is stored once, and repeated on failures.
   * @returns Whether it is stored.
   */
  addUserMessage(content: string, options?: MessageOptions): Promise<boolean> {
    return this.#addMessage("user", content, options);
  }

  /** Adds what the agent wrote; otherwise as {@linkcode addUserMessage}. */
  addBotMessage(content: string, options?: MessageOptions): Promise<boolean> {
    return this.#addMessage("bot", content, options);
  }

  /**
   * Stores what `mapGraphState` finds in the state of a graph, as it is at the time of the call.
   *
   * @returns Whether everything is stored; true, too, when there was nothing to store.
   */
  syncState(
    graphState: GraphState,
    options?: { readonly metadata?: Record<string, unknown> | undefined },
  ): Promise<boolean> {
    if (this.sessionId === null) return Promise.resolve(false);
    const mapping = readGraphState(graphState, this.#service);
    if (mapping === undefined) return Promise.resolve(false);
    return this.#enqueue(
      "syncState",
      (session) =>
        storeGraphState(mapping, { ...session, metadata: options?.metadata }, this.#service),
    );
  }

  /** Links an order; linking it again changes nothing. Returns whether it is linked. */
  linkOrder(orderId: string): Promise<boolean> {
    return this.#enqueue(
      "linkOrder",
      (session) => linkOrderToConversation({ ...session, orderId }, this.#service),
    );
  }

  /** Waits for what was begun. The session itself lives on, for the customer's next message. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
  }

  /** {@linkcode close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #addMessage(
    role: "user" | "bot",
    content: string,
    options: MessageOptions | undefined,
  ): Promise<boolean> {
    const message = {
      role,
      content,
      messageId: options?.messageId,
      timestamp: options?.timestamp,
    };
    return this.#enqueue(
      "addMessage",
      (session) => addMessageToConversation({ ...session, ...message }, this.#service),
    );
  }

  #enqueue(
    operation: string,
    send: (session: SessionArguments) => Promise<boolean>,
  ): Promise<boolean> {
    const { sessionId } = this;
    if (sessionId === null) return Promise.resolve(false);
    if (this.#isClosed) {
      this.#service.logger.warn("conversation sync error", { operation, kind: "closed" });
      return Promise.resolve(false);
    }
    const result = this.#last.then(() => send({ ...this.#tenant, sessionId }));
    this.#last = result.catch(() => {});
    return result;
  }
}
