/**
 * A long history for a fake: conversations from before the webhook, for tests that fetch history. They have no
 * webhook events.
 *
 * @module
 */

import type { FakeKapso, HistoryOptions } from "./controls.ts";
import { samplePicture } from "./samples.ts";
import type { Conversation, JsonObject, Media, Message } from "./state.ts";

const TEXTS = [
  "Good morning",
  "Do you still have it?",
  "Yes, two of them",
  "And how much is it? 🙂",
  "I'll come by tomorrow",
  "Perfect, thank you",
];

/** Adds a history to a fake. Fast, also for 20,000 messages. @returns The messages, the oldest first. */
export function seedHistory(fake: FakeKapso, options: HistoryOptions): Message[] {
  const { state, random, clock } = fake;
  const { conversations: count, messages: total, days = 90, picturesEvery = 50 } = options;
  const phoneNumber = options.phoneNumber ?? fake.phoneNumber;
  const isImported = options.origin === "history_sync";
  const people = options.of ?? Array.from(
    { length: options.contacts ?? count },
    (_, index) => fake.addContact({ phoneNumber, name: `Customer ${index + 1}` }),
  );
  const until = clock.now() - 60_000;
  const step = days * 24 * 60 * 60 * 1000 / Math.max(total, 1);
  const picture = picturesEvery > 0
    ? fake.addMedia(phoneNumber, samplePicture("cake", 330), "image/png", "picture.png")
    : undefined;
  const start = until - step * total;

  const sessions = Array.from({ length: count }, (_, index): Conversation => {
    const session: Conversation = {
      id: random.uuid(),
      phoneNumber,
      contact: people[index % people.length]!,
      // The newest session of a customer may still be open.
      status: index + people.length < count ? "ended" : "active",
      createdAt: start,
      updatedAt: start,
      lastActiveAt: start,
      messagesCount: 0,
      messages: [],
      assignments: [],
    };
    state.conversations.push(session);
    state.conversationsById.set(session.id, session);
    return session;
  });

  // The sessions of one customer follow each other; those of different customers overlap.
  const rounds = Math.ceil(count / people.length);
  const first = state.messages.at(-1)?.sequence ?? -1;
  for (let index = 0; index < total; index++) {
    const round = Math.min(Math.floor(index * rounds / total), rounds - 1);
    const inRound = Math.min(people.length, count - round * people.length);
    const session = sessions[round * people.length + index % inRound]!;
    const sentAt = Math.round(start + step * index);
    add(fake, session, {
      sequence: first + 1 + index,
      sentAt,
      createdAt: isImported ? until : sentAt,
      direction: session.messages.length % 2 === 0 ? "inbound" : "outbound",
      origin: options.origin ?? "cloud_api",
      picture: picture !== undefined && index % picturesEvery === picturesEvery - 1
        ? picture
        : undefined,
      text: `${TEXTS[index % TEXTS.length]} (${index + 1})`,
      url: fake.url,
    });
  }
  return state.messages.slice(-total);
}

interface SeededMessage
  extends Pick<Message, "sequence" | "sentAt" | "createdAt" | "direction" | "origin"> {
  picture: Media | undefined;
  text: string;
  url: string;
}

function add({ state, random }: FakeKapso, session: Conversation, given: SeededMessage): void {
  const { picture, text, url, ...rest } = given;
  const { contact } = session;
  const isInbound = rest.direction === "inbound";
  const id = random.wamid();
  const link = picture &&
    `${url}/rails/active_storage/blobs/redirect/${picture.token}/${picture.filename}`;
  const recipient = contact.waId ?? contact.phone;
  const content: JsonObject = picture === undefined ? { text: { body: text } } : {
    image: {
      id: picture.id,
      mime_type: picture.mimeType,
      sha256: picture.sha256,
      caption: text,
      link,
    },
  };
  const message: Message = {
    id,
    conversation: session,
    type: picture === undefined ? "text" : "image",
    content,
    status: isInbound ? "received" : "read",
    statuses: isInbound ? [] : ["sent", "delivered", "read"].map((status, index) => ({
      id,
      status,
      timestamp: String(Math.floor(rest.sentAt / 1000) + index),
      ...(recipient === undefined ? {} : { recipient_id: recipient }),
    })),
    extras: picture === undefined ? { content: text } : {
      content: `${text} Image attached (${picture.filename}) URL: ${link}`,
      media_url: link,
      media_data: {
        url: link,
        filename: picture.filename,
        content_type: picture.mimeType,
        byte_size: picture.bytes.length,
      },
    },
    ...rest,
  };
  state.messages.push(message);
  state.messagesById.set(id, message);
  if (session.messages.length === 0) session.createdAt = rest.sentAt;
  session.messages.push(message);
  session.messagesCount++;
  session.lastMessage = message;
  session.lastActiveAt = session.updatedAt = rest.sentAt;
  if (isInbound) {
    session.lastInboundAt = rest.sentAt;
    contact.lastInboundAt = Math.max(contact.lastInboundAt ?? 0, rest.sentAt);
  } else {
    session.lastOutboundAt = rest.sentAt;
  }
}
