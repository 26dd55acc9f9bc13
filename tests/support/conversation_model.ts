/**
 * A model of a conversation over its life, without a database: messages that arrive in any way, what changes them, and
 * what members do. {@linkcode ModelThread} is its part for arrivals.
 *
 * @module
 */

import type { TestConversation, TestMessage } from "./messages.ts";
import { ModelThread } from "./messages_model.ts";

/** A change of a message, as the contract has it. */
export interface TestChange {
  message_id: string;
  status?: string;
  status_at?: string;
  edit?: { content: string; edited_at: string };
  deleted_at?: string;
  reactions?: { sender: string; emoji: string | null; reacted_at: string }[];
}

const STATUSES = ["pending", "sent", "delivered", "read", "failed"];

/** A conversation as it should be. */
export class ModelConversation {
  readonly thread = new ModelThread();
  status = "open";
  #changes = new Map<string, TestChange[]>();

  /** A batch arrives, of one element. */
  arrive(batch: TestConversation): void {
    const known = new Set(this.thread.messages.map(({ id }) => id));
    this.thread.add(batch);
    this.thread.endBatch();
    const isReopened = !batch.is_history &&
      batch.messages.some(({ id, direction }) => direction === "inbound" && !known.has(id));
    if (isReopened) this.status = "open";
  }

  /** A change arrives, before its message or after it, for the first time or again. */
  change(change: TestChange): void {
    this.#changes.set(change.message_id, [
      ...this.#changes.get(change.message_id) ?? [],
      change,
    ]);
  }

  /** A member reads everything. */
  read(): void {
    this.thread.unread = 0;
  }

  /** The messages, oldest first, with all their changes. */
  messages(): Record<string, unknown>[] {
    return this.thread.messages.map((message) => this.#changed(message));
  }

  /** What the row of the conversation should say. */
  summary(): Record<string, unknown> {
    const { shown } = this.thread;
    const preview = shown === undefined ? undefined : this.#changed(shown);
    return {
      ...this.thread.summary(),
      status: this.status,
      last_message_preview: preview === undefined ? null : preview.content ||
        (preview.deleted_at === undefined ? `[${preview.type}]` : "[deleted]"),
    };
  }

  /** A message and the changes to it: sets, of which the greatest or the least counts, so no order matters. */
  #changed(message: TestMessage): Record<string, unknown> {
    const changes = this.#changes.get(message.id) ?? [];
    const changed: Record<string, unknown> = { ...message };
    const statuses = changes.flatMap(({ status, status_at }) =>
      status === undefined ? [] : [{ status, status_at: status_at! }]
    );
    const best = Math.max(-1, ...statuses.map(({ status }) => STATUSES.indexOf(status)));
    if (best >= 0) {
      changed.status = STATUSES[best];
      changed.status_at = statuses.filter(({ status }) =>
        status === STATUSES[best]
      ).map((each) => each.status_at)
        .sort()[0];
    }
    const deletion = changes.flatMap(({ deleted_at }) => deleted_at ?? []).sort()[0];
    if (deletion !== undefined) {
      return { ...changed, content: "", media_url: null, deleted_at: deletion };
    }
    const edit = changes.flatMap(({ edit }) => edit ?? [])
      .sort((a, b) => `${a.edited_at} ${a.content}` < `${b.edited_at} ${b.content}` ? 1 : -1)[0];
    if (edit !== undefined) {
      Object.assign(changed, edit, { original_content: message.content });
    }
    const reactions = newestPerSender(changes.flatMap(({ reactions }) => reactions ?? []));
    if (reactions.length > 0) changed.reactions = reactions;
    return changed;
  }
}

function newestPerSender(
  reactions: NonNullable<TestChange["reactions"]>,
): NonNullable<TestChange["reactions"]> {
  const rank = (
    { reacted_at, emoji }: (typeof reactions)[number],
  ) => `${reacted_at} ${emoji === null ? 1 : 0} ${emoji}`;
  const newest = new Map<string, (typeof reactions)[number]>();
  for (const reaction of reactions) {
    const known = newest.get(reaction.sender);
    if (known === undefined || rank(reaction) > rank(known)) newest.set(reaction.sender, reaction);
  }
  return [...newest.values()].sort((a, b) => a.sender < b.sender ? -1 : 1);
}
