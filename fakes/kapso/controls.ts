/**
 * What a program can do with a fake Kapso: options, the people and events it plays, and its faults.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import type { Content } from "./content.ts";
import type { Deliveries, DeliveryRules, KapsoEvent, Webhook } from "./deliveries.ts";
import type { Random } from "./random.ts";
import type { Misbehaviour } from "./server.ts";
import type {
  Contact,
  Conversation,
  JsonObject,
  Line,
  Media,
  Message,
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
  /** How long a second takes: 0.01 makes everything a hundred times as fast. */
  timeScale?: number;
  /** Time at the beginning, milliseconds since 1970. Now, where it is not given. */
  startAt?: number;
  apiKey?: string;
  /** Requests a minute and key; null for no limit. Plans have 100 to 2000. */
  rateLimit?: number | null;
  /** How long the API takes to send, in real milliseconds; a second send meanwhile gets 409. */
  sendLatencyMs?: number;
  /** Let sent messages be delivered and read by themselves. */
  autoStatus?: boolean;
  /** False: an account that does not know the `contact.*` events yet. */
  knowsContactEvents?: boolean;
  /** Share of API requests that fail at random, from 0 to 1. Can be changed later. */
  failureRate?: number;
  delivery?: Partial<DeliveryRules>;
}

/** A new customer. */
export interface NewContact {
  line?: Line;
  /** Digits; null for a customer who is known by a username alone. Made up where it is not given. */
  phone?: string | null;
  /** The number as WhatsApp has it, where that differs. */
  waId?: string;
  bsuid?: string;
  parentBsuid?: string;
  username?: string;
  name?: string;
  isUnreachable?: boolean;
}

/** What a message may have besides its content. */
export interface MessageOptions {
  replyTo?: Message;
  /** WhatsApp's time, milliseconds since 1970. */
  sentAt?: number;
  /** A group, in whose thread the message belongs. */
  groupId?: string;
  /** More fields of the message, such as `referral`. */
  more?: JsonObject;
}

/** A new webhook. */
export interface NewWebhook {
  url: string;
  secretKey: string;
  line?: Line;
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
  line?: Line;
}

/** A new workflow. */
export interface NewWorkflow {
  name: string;
  description?: string;
  status?: Workflow["status"];
  nodes?: JsonObject[];
  edges?: JsonObject[];
}

/** How every download of a file goes. Nothing: rightly. */
export interface FileBehaviour {
  /** Answer with a redirect to this address. */
  redirectTo?: string;
  /** What the answer calls the file, whatever it is. */
  contentType?: string;
  status?: number;
  /** Another file than the message's. */
  bytes?: Uint8Array<ArrayBuffer>;
}

/** Options of {@linkcode FakeKapso.seedHistory}. */
export interface HistoryOptions {
  /** How many of Kapso's conversations, each of which is a session. */
  conversations: number;
  /** How many messages in all of them together. */
  messages: number;
  /** Customers; some have several conversations where there are fewer. As many as conversations. */
  contacts?: number;
  /** The customers themselves, where they are known. */
  of?: Contact[];
  line?: Line;
  /** Over how many days until now. */
  days?: number;
  /** Every how many messages there is a picture. 0: never. */
  picturesEvery?: number;
  /** `history_sync`: imported by Kapso just now, so that WhatsApp's times and Kapso's differ. */
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
  /** Everything that happened, whether a webhook wanted it or not, in order. */
  events: KapsoEvent[];
  /** Requests to the API, in order. */
  requests: { method: string; path: string; status: number }[];
  /** Share of API requests that fail at random. */
  failureRate: number;
  /** How the next API requests go wrong, one each. */
  misbehave(...next: Misbehaviour[]): void;
  /** The same for the next requests of this method whose path matches, such as sends. */
  misbehaveOn(method: string, path: RegExp, ...next: Misbehaviour[]): void;
  /** False: statuses do not repeat `biz_opaque_callback_data`. Nobody has seen whether Kapso's do. */
  echoesCallbackData: boolean;
  /** True: with each page of conversations, one that was not listed yet moves to the front. */
  movesWhileWalked: boolean;
  /** The status that every request about workflows gets: a key without the right to them. Null: it has it. */
  workflowRefusal: 401 | 403 | null;
  /** False: a stale `lock_version` is not noticed, as it was at first. */
  checksLockVersion: boolean;
  /** How downloads of files go. */
  files: FileBehaviour;
  /** The line that is there from the beginning. */
  line: Line;
  addLine(phoneNumberId: string, displayPhoneNumber: string): Line;
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
  /** An imported old message. No webhook tells of it; its `created_at` is now. */
  importMessage(
    contact: Contact,
    direction: "inbound" | "outbound",
    content: Content,
    sentAt: number,
  ): Message;
  /** The next status of an outbound message. `failed` takes Meta's error. */
  setStatus(
    message: Message,
    status: "sent" | "delivered" | "read" | "failed",
    options?: { at?: number; error?: JsonObject },
  ): void;
  /** React to a message; null takes it back. */
  react(target: Message, emoji: string | null, by?: "contact" | "business"): Message;
  /** The newest session of a customer. */
  sessionOf(contact: Contact): Conversation | undefined;
  endSession(session: Conversation): void;
  reopenSession(session: Conversation): void;
  /** Nobody has written for a while. */
  goInactive(session: Conversation): void;
  /** The customer's number or BSUID changes. */
  changeIdentity(contact: Contact, to: { phone?: string; bsuid?: string }): void;
  setMarketingPreference(contact: Contact, status: "stopped" | "resumed"): void;
  /** Store a file, as an upload does. */
  addMedia(line: Line, bytes: Uint8Array<ArrayBuffer>, mimeType: string, filename: string): Media;
  /** A long past, of which no webhook tells. */
  seedHistory(history: HistoryOptions): Message[];
  addTemplate(template: NewTemplate): Template;
  addWorkflow(workflow: NewWorkflow): Workflow;
  /** A workflow at work in a conversation. */
  addExecution(workflow: Workflow, session?: Conversation): WorkflowExecution;
  addUser(name: string): State["users"][number];
  /** Resolves when every delivery is finished. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}
