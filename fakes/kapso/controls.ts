/**
 * What a program can do with a fake Kapso: options, the people and events it plays, and its faults.
 *
 * @module
 */

import type { MessageStatus } from "../../supabase/functions/_shared/contracts/message.ts";
import type { Clock } from "./clock.ts";
import type { Content } from "./content.ts";
import type { Deliveries, DeliveryRules, KapsoEvent, Webhook } from "./deliveries.ts";
import type { Random } from "./random.ts";
import type { Misbehaviour } from "./server.ts";
import type {
  Contact,
  Conversation,
  JsonObject,
  Media,
  Message,
  PhoneNumber,
  State,
  Template,
  Workflow,
  WorkflowExecution,
} from "./state.ts";

/** Options of `startFakeKapso`. All are optional. */
export interface FakeKapsoOptions {
  /** 0 picks a free one. */
  port?: number;
  /** Ids are the same for the same seed and the same calls. */
  seed?: number;
  /** Real seconds per second: 0.01 is a hundred times as fast. */
  timeScale?: number;
  /** The time at the beginning, milliseconds since 1970; by default now. */
  startAt?: number;
  apiKey?: string;
  /** Requests a minute and key; null for no limit. Plans have 100 to 2000. */
  rateLimit?: number | null;
  /** How long a send takes, in real milliseconds. A second send during that time gets 409. */
  sendLatencyMs?: number;
  /** Report sent messages as delivered and read automatically. */
  autoStatus?: boolean;
  /** False: an account that does not know the `contact.*` events yet. */
  knowsContactEvents?: boolean;
  /** Share of API requests that fail at random, from 0 to 1. Can be changed later. */
  failureRate?: number;
  delivery?: Partial<DeliveryRules>;
}

/** A new customer. */
export interface NewContact {
  phoneNumber?: PhoneNumber;
  /** Digits; null for a customer with a username alone. Invented by default. */
  phone?: string | null;
  /** The number as WhatsApp writes it, if that differs. */
  waId?: string;
  bsuid?: string;
  parentBsuid?: string;
  username?: string;
  name?: string;
  isUnreachable?: boolean;
}

/** Properties of a message besides its content. */
export interface MessageOptions {
  replyTo?: Message;
  /** WhatsApp's time, milliseconds since 1970. */
  sentAt?: number;
  /** The group of the message. */
  groupId?: string;
  /** More fields of the message, such as `referral`. */
  more?: JsonObject;
}

/** A new webhook. */
export interface NewWebhook {
  url: string;
  secretKey: string;
  phoneNumber?: PhoneNumber;
  events?: string[];
  bufferEnabled?: boolean;
  bufferWindowSeconds?: number;
  maxBufferSize?: number;
  headers?: Record<string, string>;
}

/** A new template. */
export interface NewTemplate {
  name: string;
  language?: string;
  category?: Template["category"];
  status?: Template["status"];
  components?: JsonObject[];
  phoneNumber?: PhoneNumber;
}

/** A new workflow. */
export interface NewWorkflow {
  name: string;
  description?: string;
  status?: Workflow["status"];
  nodes?: JsonObject[];
  edges?: JsonObject[];
}

/** How downloads of files go; without properties, correctly. */
export interface FileBehaviour {
  /** Answer with a redirect to this address. */
  redirectTo?: string;
  /** The content type of the answer. */
  contentType?: string;
  status?: number;
  /** The bytes of another file. */
  bytes?: Uint8Array<ArrayBuffer>;
}

/** Options of {@linkcode FakeKapso.seedHistory}. */
export interface HistoryOptions {
  /** How many of Kapso's conversations; each is a session. */
  conversations: number;
  /** How many messages in total. */
  messages: number;
  /** How many customers; by default one per conversation. With fewer, some have several conversations. */
  contacts?: number;
  /** The customers, instead of new ones. */
  of?: Contact[];
  phoneNumber?: PhoneNumber;
  /** The number of days until now. */
  days?: number;
  /** Every nth message is a picture; 0 for none. */
  picturesEvery?: number;
  /** `history_sync`: Kapso has just imported them, so WhatsApp's times and Kapso's differ. */
  origin?: Message["origin"];
}

/** A running fake. Stops when it is disposed of. */
export interface FakeKapso extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, in the place of `https://api.kapso.ai`. */
  url: string;
  apiKey: string;
  clock: Clock;
  random: Random;
  state: State;
  deliveries: Deliveries;
  /** All events in order, with and without a webhook for them. */
  events: KapsoEvent[];
  /** Requests to the API, in order. */
  requests: { method: string; path: string; status: number }[];
  /** Share of API requests that fail at random. */
  failureRate: number;
  /** Makes the next API requests fail, one each. */
  misbehave(...next: Misbehaviour[]): void;
  /** Makes the next requests of this method with a matching path fail, such as sends. */
  misbehaveOn(method: string, path: RegExp, ...next: Misbehaviour[]): void;
  /** False: statuses do not repeat `biz_opaque_callback_data`. It is unknown whether Kapso's do. */
  echoesCallbackData: boolean;
  /** True: with each page of conversations, one that was not yet listed moves to the front. */
  movesWhileWalked: boolean;
  /** The status for each request about workflows, as for a key without permission; null with permission. */
  workflowRefusal: 401 | 403 | null;
  /** False: a stale `lock_version` is accepted, as in Kapso's first version. */
  checksLockVersion: boolean;
  /** How downloads of files go. */
  files: FileBehaviour;
  /** The phone number that exists from the beginning. */
  phoneNumber: PhoneNumber;
  addPhoneNumber(phoneNumberId: string, displayPhoneNumber: string): PhoneNumber;
  addContact(contact?: NewContact): Contact;
  addWebhook(webhook: NewWebhook): Webhook;
  /** The customer writes. */
  receiveMessage(contact: Contact, content: Content, options?: MessageOptions): Message;
  /** Sent by a workflow, Kapso's own inbox or the API. */
  sendMessage(
    contact: Contact,
    content: Content,
    options?: MessageOptions & { callbackData?: string },
  ): Message;
  /** Typed on the business's phone. */
  businessAppMessage(contact: Contact, content: Content, options?: MessageOptions): Message;
  /** An imported old message, without a webhook event; its `created_at` is now. */
  importMessage(
    contact: Contact,
    direction: "inbound" | "outbound",
    content: Content,
    sentAt: number,
  ): Message;
  /** The next status of an outbound message. `failed` takes Meta's error. */
  setStatus(
    message: Message,
    status: Exclude<MessageStatus, "pending">,
    options?: { at?: number; error?: JsonObject },
  ): void;
  /** Reacts to a message; null removes the reaction. */
  react(target: Message, emoji: string | null, by?: "contact" | "business"): Message;
  /** The newest session of a customer. */
  sessionOf(contact: Contact): Conversation | undefined;
  endSession(session: Conversation): void;
  reopenSession(session: Conversation): void;
  /** Ends the activity of a session: it gets the event `inactive`. */
  goInactive(session: Conversation): void;
  /** The customer's number or BSUID changes. */
  changeIdentity(contact: Contact, to: { phone?: string; bsuid?: string }): void;
  setMarketingPreference(contact: Contact, status: "stopped" | "resumed"): void;
  /** Stores a file, as an upload does. */
  addMedia(
    phoneNumber: PhoneNumber,
    bytes: Uint8Array<ArrayBuffer>,
    mimeType: string,
    filename: string,
  ): Media;
  /** Adds a long history, without webhook events. */
  seedHistory(history: HistoryOptions): Message[];
  addTemplate(template: NewTemplate): Template;
  addWorkflow(workflow: NewWorkflow): Workflow;
  /** Adds a running workflow in a conversation. */
  addExecution(workflow: Workflow, session?: Conversation): WorkflowExecution;
  addUser(name: string): State["users"][number];
  /** Resolves when every delivery is finished. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}
