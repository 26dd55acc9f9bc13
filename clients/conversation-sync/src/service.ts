/**
 * The API, call by call: a method per route, and around each of them the same time limit, repeats, log,
 * figures and the promise that a failure stays here.
 *
 * @module
 */

import {
  type BusinessInfo,
  businessSchema,
  type ConversationContext,
  type ConversationOrders,
  type ConversationPage,
  type ConversationState,
  healthSchema,
  type MessageRole,
  ordersSchema,
  pageSchema,
  stateSchema,
  type TenantInfo,
  tenantSchema,
} from "./answers.ts";
import { ConversationSyncError } from "./errors.ts";
import { type ApiCall, getOpenly, sendCall, type TransportOptions } from "./http.ts";
import { consoleLogger, guardLogger, type Logger } from "./log.ts";
import { CallCounter, type SyncMetrics } from "./metrics.ts";
import {
  type Environment,
  isApiKey,
  isTimeout,
  normalizeBaseUrl,
  readEnvironment,
} from "./settings.ts";
import { TtlCache } from "./ttl_cache.ts";

/** Options of {@linkcode ConversationStateService}. Each goes before the environment. */
export interface ConversationStateServiceOptions {
  /** Where the API is, such as `https://<project>.supabase.co/functions/v1/conversation-sync`. */
  readonly apiBaseUrl?: string | undefined;
  /** An agent key. */
  readonly apiKey?: string | undefined;
  /** The business that calls without a `subDomain` of their own are about. */
  readonly subDomain?: string | undefined;
  /** The branch of that business. Never used with another `subDomain`. */
  readonly localId?: string | undefined;
  /** false: no call sends anything, all return null. True by default. */
  readonly enabled?: boolean | undefined;
  /** Throw a {@linkcode ConversationSyncError} instead of returning null. False by default. */
  readonly throwOnError?: boolean | undefined;
  /** How long a call may take, repeats and waits included. 10,000 by default. */
  readonly timeoutMs?: number | undefined;
  /** How often an idempotent call is repeated. 2 by default. */
  readonly retries?: number | undefined;
  /** Longest wait before the first repeat, in milliseconds; doubles with each. 250 by default. */
  readonly retryDelayMs?: number | undefined;
  /** Tenant look-ups to remember: 1,000 by default; 0 remembers none. */
  readonly cacheMaxEntries?: number | undefined;
  /** How long to remember them: 3,600,000 by default, an hour. */
  readonly cacheTtlMs?: number | undefined;
  /** Where failures are logged. The console by default. */
  readonly logger?: Logger | undefined;
  /** Instead of the process's environment; `{}` for none. */
  readonly env?: Environment | undefined;
  /** Instead of the global one. */
  readonly fetch?: typeof fetch | undefined;
  /** Clock of the cache, in milliseconds. */
  readonly now?: (() => number) | undefined;
  /** Spreads the waits before repeats: a number from 0 to 1. */
  readonly random?: (() => number) | undefined;
}

/** Options of a single call, each before those of the service. */
export interface CallOptions {
  /** Throw a {@linkcode ConversationSyncError} instead of returning null. */
  readonly throwOnError?: boolean | undefined;
  /** How long the call may take, retries and waits included. */
  readonly timeoutMs?: number | undefined;
  /** Ends the call. Whether the API has done it is then unknown. */
  readonly signal?: AbortSignal | undefined;
}

/** A business. Without a `subDomain`, that of the settings. */
export interface TenantArguments {
  /** Slug of the workspace. */
  readonly subDomain?: string | undefined;
  /** Branch of the business. */
  readonly localId?: string | undefined;
}

/** A session of a business. */
export interface SessionArguments extends TenantArguments {
  /** Id of the session. */
  readonly sessionId: string;
}

/** A session to write to. */
export interface WriteArguments extends SessionArguments {
  /** Only if the session still has this version; otherwise the call fails with kind `conflict`. */
  readonly version?: number | undefined;
}

/** Arguments of {@linkcode ConversationStateService.syncConversationFromAgent}. */
export interface SyncArguments {
  /** Id of the session. */
  readonly sessionId: string;
  /** What the customer wants, such as `order`. */
  readonly intent: string;
  /** How far that has come, such as `cart`. */
  readonly step: string;
  /** Merged into the stored context, key by key. */
  readonly context?: ConversationContext | undefined;
  /** Facts about the session itself; merged key by key. */
  readonly metadata?: Record<string, unknown> | undefined;
  /** false ends the session. */
  readonly isActive?: boolean | undefined;
  /** Only if the session still has this version; otherwise the call fails with kind `conflict`. */
  readonly version?: number | undefined;
}

/** A message. */
export interface MessageArguments {
  /** Who wrote it: the customer (`user`) or the agent (`bot`). */
  readonly role: MessageRole;
  /** The text, up to 64 KB. */
  readonly content: string;
  /**
   * The platform's own id, such as a wamid: stores the message once, however often it is sent, and files
   * it in the customer's thread. Never one made for the request.
   */
  readonly messageId?: string | undefined;
  /** When it was written, ISO 8601; now by default. */
  readonly timestamp?: string | undefined;
}

/** Arguments of {@linkcode ConversationStateService.createConversation}. */
export interface CreateArguments extends TenantArguments {
  /** The customer's phone number. */
  readonly userId: string;
  /** The bot that the session belongs to. */
  readonly botId?: string | undefined;
  /** Facts about the session, such as `phoneNumberId`; merged key by key. */
  readonly metadata?: Record<string, unknown> | undefined;
}

/** Arguments of {@linkcode ConversationStateService.listConversations}. */
export interface ListArguments extends TenantArguments {
  /** Only sessions of this bot. */
  readonly botId?: string | undefined;
  /** Only sessions with this intent. */
  readonly intent?: string | undefined;
  /** Up to 100; 50 by default. */
  readonly limit?: number | undefined;
  /** Number of sessions to skip; 0 by default. */
  readonly offset?: number | undefined;
}

/** A look-up of a tenant under way. What happens meanwhile may make its answer one not to remember. */
interface TenantLookup {
  readonly key: string;
  /** Another session of this customer may have begun. */
  isOutdated: boolean;
  /** Sessions that are over. */
  readonly gone: Set<string>;
}

/** What a method does, apart from what all of them do. */
interface Plan<T> extends ApiCall<T> {
  readonly sessionId?: string;
}

/**
 * The conversation-sync API.
 *
 * Failed calls are repeated where sending them twice does what sending them once does: reads; messages
 * with a `messageId`; `createConversation`, `linkOrder` and `end`; and, without a `version`, the writes that
 * set something (sync, intent, context, extend). With one, the repeat of a write whose answer was lost would
 * conflict with that write. `reset` is not repeated: it would also empty what was written in between.
 *
 * Every method returns null when there is nothing (a look-up that answers 404), when the service is
 * switched off, and when the call failed. A failure is logged and counted. With `throwOnError`, of the
 * service or of one call, failures throw a {@linkcode ConversationSyncError}, and null means that there is
 * nothing, or that the service is switched off.
 *
 * @example
 * ```ts
 * const service = new ConversationStateService({ apiBaseUrl, apiKey });
 * const tenant = await service.lookupTenantByPhone("+51999999999");
 * ```
 */
export class ConversationStateService {
  readonly #options: ConversationStateServiceOptions;
  readonly #logger: Logger;
  readonly #transport: TransportOptions | undefined;
  readonly #timeoutMs: number;
  readonly #subDomain: string | undefined;
  readonly #localId: string | undefined;
  readonly #tenants: TtlCache<TenantInfo>;
  readonly #syncs = new CallCounter();
  readonly #calls = new CallCounter();
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #lookups = new Set<TenantLookup>();
  #retries = 0;
  #cacheHits = 0;
  #isClosed = false;

  /**
   * Sends nothing. A service without a usable address or key switches itself off and says so in the log.
   *
   * @throws {ConversationSyncError} of kind `invalid_configuration`, with `throwOnError` only.
   */
  constructor(options: ConversationStateServiceOptions = {}) {
    this.#options = options;
    this.#logger = guardLogger(options.logger ?? consoleLogger);
    const env = options.env === undefined ? readEnvironment() : readEnvironment(options.env);
    for (const variable of env.invalid) {
      this.#logger.warn("conversation sync setting ignored", { variable });
    }
    const address = options.apiBaseUrl ?? env.apiBaseUrl;
    const baseUrl = address === undefined ? undefined : normalizeBaseUrl(address);
    const apiKey = options.apiKey ?? env.apiKey;
    this.#timeoutMs = options.timeoutMs ?? env.timeoutMs ?? 10_000;
    this.#subDomain = options.subDomain ?? env.subDomain;
    // A branch belongs to its business: not one from here with one from there.
    this.#localId = options.localId ?? (options.subDomain === undefined ? env.localId : undefined);
    const retries = options.retries ?? 2;
    const retryDelayMs = options.retryDelayMs ?? 250;
    this.#tenants = new TtlCache({
      maxEntries: options.cacheMaxEntries ?? 1000,
      ttlMs: options.cacheTtlMs ?? 3_600_000,
      now: options.now ?? (() => performance.now()),
    });

    if (!(options.enabled ?? env.enabled ?? true)) {
      this.#logger.info("conversation sync disabled", { reason: "switched off" });
      return;
    }
    const problem = address === undefined
      ? "no base URL"
      : baseUrl === undefined
      ? "the base URL is not one"
      : apiKey === undefined
      ? "no key"
      : !isApiKey(apiKey)
      ? "the key has characters that no key has"
      : !isTimeout(this.#timeoutMs)
      ? "timeoutMs is not a time"
      : !(Number.isInteger(retries) && retries >= 0 && retryDelayMs >= 0)
      ? "retries or retryDelayMs is not a number of its kind"
      : undefined;
    if (problem !== undefined) {
      if (options.throwOnError) {
        throw new ConversationSyncError("invalid_configuration", `Cannot sync: ${problem}`);
      }
      this.#logger.error("conversation sync disabled", { reason: problem });
      return;
    }
    this.#transport = {
      baseUrl: baseUrl!,
      apiKey: apiKey!,
      fetch: options.fetch,
      retries,
      retryDelayMs,
      random: options.random ?? Math.random,
      onRetry: () => void this.#retries++,
    };
  }

  /** Whether calls are sent: not switched off, and configured. */
  get isEnabled(): boolean {
    return this.#transport !== undefined;
  }

  /** The log of the service. A failure of the logger ends here. */
  get logger(): Logger {
    return this.#logger;
  }

  /** Calls, failures and durations so far. */
  metrics(): SyncMetrics {
    return {
      syncs: this.#syncs.snapshot(),
      calls: this.#calls.snapshot(),
      retries: this.#retries,
      cacheHits: this.#cacheHits,
    };
  }

  /**
   * Which business the customer with this number is talking to: that of the newest active session.
   *
   * Found tenants are remembered for an hour, so this may be an hour old. What this service itself ends,
   * creates or finds gone is forgotten at once, and a number without a tenant is not remembered.
   */
  async lookupTenantByPhone(phone: string, options?: CallOptions): Promise<TenantInfo | null> {
    const key = phoneKey(phone);
    const known = this.isEnabled && !this.#isClosed ? this.#tenants.get(key) : undefined;
    if (known !== undefined) {
      this.#cacheHits++;
      return structuredClone(known);
    }
    const lookup: TenantLookup = { key, isOutdated: false, gone: new Set() };
    this.#lookups.add(lookup);
    try {
      const tenant = await this.#call("lookupTenantByPhone", options, () => ({
        ...get(`/api/v1/whatsapp/lookup/tenant/${segment(phone, "phone")}`),
        read: (data) => tenantSchema.safeParse(data).data,
      }));
      if (tenant !== null && !lookup.isOutdated && !lookup.gone.has(tenant.sessionId)) {
        this.#tenants.set(key, structuredClone(tenant));
      }
      return tenant;
    } finally {
      this.#lookups.delete(lookup);
    }
  }

  /** Which business a WhatsApp number belongs to, by the `phone_number_id` of its webhooks. Not remembered. */
  lookupBusiness(phoneNumberId: string, options?: CallOptions): Promise<BusinessInfo | null> {
    return this.#call("lookupBusiness", options, () => ({
      ...get(`/api/v1/whatsapp/lookup/business/${segment(phoneNumberId, "phoneNumberId")}`),
      read: (data) => businessSchema.safeParse(data).data,
    }));
  }

  /** The active session of the customer with this number. */
  getConversationByPhone(
    phone: string,
    options?: CallOptions & { readonly botId?: string | undefined },
  ): Promise<ConversationState | null> {
    return this.#call("getConversationByPhone", options, () => ({
      ...get(`/api/v1/whatsapp/lookup/conversation/${segment(phone, "phone")}`, {
        botId: options?.botId,
      }),
      read: readState,
    }));
  }

  /** Stores what the agent has decided: intent, step, and context, in one write. */
  syncConversationFromAgent(
    given: SyncArguments,
    options?: CallOptions,
  ): Promise<ConversationState | null> {
    return this.#call("syncConversationFromAgent", options, () => {
      const { sessionId, intent, step, context = {}, metadata, isActive, version } = given;
      return {
        method: "PUT",
        path: `/api/v1/whatsapp/agent/conversations/${segment(sessionId, "sessionId")}/sync`,
        body: { intent, step, context, metadata, isActive, version },
        isIdempotent: version === undefined,
        read: readState,
        sessionId,
      };
    }).then((state) => {
      if (state !== null && given.isActive === false) this.#forgetSession(given.sessionId);
      return state;
    });
  }

  /** Adds a message, by the session alone. Repeated on failures only if it has a `messageId`. */
  addMessageFromAgent(
    given: MessageArguments & { readonly sessionId: string },
    options?: CallOptions,
  ): Promise<ConversationState | null> {
    return this.#call("addMessageFromAgent", options, () => {
      const { sessionId, role, content, messageId, timestamp } = given;
      return {
        method: "POST",
        path: `/api/v1/whatsapp/agent/conversations/${segment(sessionId, "sessionId")}/messages`,
        body: { role, content, messageId, timestamp },
        isIdempotent: Boolean(messageId),
        read: readState,
        sessionId,
      };
    });
  }

  /**
   * The active session of a customer with a business; a new one if there is none.
   *
   * Where a business has several WhatsApp numbers, `metadata: { phoneNumberId }` says which one this is
   * about; messages with a `messageId` are filed in that number's thread.
   */
  async createConversation(
    given: CreateArguments,
    options?: CallOptions,
  ): Promise<ConversationState | null> {
    const state = await this.#call("createConversation", options, () => {
      const { userId, botId, metadata } = given;
      return {
        method: "POST",
        path: "/api/v1/conversations",
        body: { userId: required(userId, "userId"), ...this.#tenant(given), botId, metadata },
        // It finds the session that the first attempt has made.
        isIdempotent: true,
        read: readState,
      };
    });
    if (state !== null) {
      const key = phoneKey(given.userId);
      for (const lookup of this.#lookups) lookup.isOutdated ||= lookup.key === key;
      this.#tenants.deleteWhere((known, each) =>
        each === key && known.sessionId !== state.sessionId
      );
    }
    return state;
  }

  /** A page of a business's active sessions, newest first. */
  listConversations(
    given: ListArguments = {},
    options?: CallOptions,
  ): Promise<ConversationPage | null> {
    return this.#call("listConversations", options, () => {
      const { botId, intent, limit, offset } = given;
      const query = { ...this.#tenant(given), botId, intent, limit, offset };
      return {
        ...get("/api/v1/conversations", query),
        read: (data) => pageSchema.safeParse(data).data,
      };
    });
  }

  /** A session, whether active or not. */
  getConversation(
    given: SessionArguments,
    options?: CallOptions,
  ): Promise<ConversationState | null> {
    return this.#call("getConversation", options, () => this.#readSession("", given, readState));
  }

  /** The active session of a customer with a business. */
  getConversationByUser(
    given: TenantArguments & { readonly userId: string },
    options?: CallOptions,
  ): Promise<ConversationState | null> {
    return this.#call("getConversationByUser", options, () => ({
      ...get(
        `/api/v1/conversations/user/${segment(given.userId, "userId")}`,
        this.#tenant(given),
      ),
      read: readState,
    }));
  }

  /** Sets intent and step; the former pair stays readable as `previousIntent` and `previousStep`. */
  updateIntent(
    given: WriteArguments & { readonly intent: string; readonly step?: string | undefined },
    options?: CallOptions,
  ): Promise<ConversationState | null> {
    return this.#call("updateIntent", options, () => {
      const { intent, step } = given;
      return this.#write("PATCH", "intent", given, { intent, step }, readState);
    });
  }

  /** Merges into the context, key by key, or with `merge: false` replaces it. */
  updateContext(
    given: WriteArguments & {
      readonly context: ConversationContext;
      readonly merge?: boolean | undefined;
    },
    options?: CallOptions,
  ): Promise<ConversationState | null> {
    return this.#call("updateContext", options, () => {
      const { context, merge } = given;
      return this.#write("PATCH", "context", given, { context, merge }, readState);
    });
  }

  /** Adds a message. Repeated on failures only if it has a `messageId`. */
  addMessage(
    given: WriteArguments & MessageArguments,
    options?: CallOptions,
  ): Promise<ConversationState | null> {
    return this.#call("addMessage", options, () => {
      const { role, content, messageId, timestamp } = given;
      return {
        ...this.#write(
          "POST",
          "messages",
          given,
          { role, content, messageId, timestamp },
          readState,
        ),
        isIdempotent: Boolean(messageId),
      };
    });
  }

  /** Sets the intent to `idle`, the step to `initial`, and empties the context; orders stay. */
  reset(
    given: WriteArguments & { readonly keepHistory?: boolean | undefined },
    options?: CallOptions,
  ): Promise<ConversationState | null> {
    return this.#call("reset", options, () => {
      const { keepHistory } = given;
      return {
        ...this.#write("POST", "reset", given, { keepHistory }, readState),
        // The retry would also delete what was written since the first attempt.
        isIdempotent: false,
      };
    });
  }

  /** Keeps the session active for at least this many hours from now; 24 by default. */
  extend(
    given: WriteArguments & { readonly hours?: number | undefined },
    options?: CallOptions,
  ): Promise<ConversationState | null> {
    return this.#call("extend", options, () => {
      const { hours } = given;
      return this.#write("POST", "extend", given, { hours }, readState);
    });
  }

  /** Links an order. Linking the same one again changes nothing. */
  linkOrder(
    given: WriteArguments & { readonly orderId: string },
    options?: CallOptions,
  ): Promise<ConversationOrders | null> {
    return this.#call("linkOrder", options, () => {
      const orderId = required(given.orderId, "orderId");
      return {
        ...this.#write("POST", "orders", given, { orderId }, readOrders),
        isIdempotent: true,
      };
    });
  }

  /** The orders of a session. */
  listOrders(given: SessionArguments, options?: CallOptions): Promise<ConversationOrders | null> {
    return this.#call("listOrders", options, () => this.#readSession("/orders", given, readOrders));
  }

  /** Ends a session. */
  async end(given: WriteArguments, options?: CallOptions): Promise<ConversationState | null> {
    const state = await this.#call("end", options, () => ({
      ...this.#write("POST", "end", given, {}, readState),
      isIdempotent: true,
    }));
    if (state !== null) this.#forgetSession(given.sessionId);
    return state;
  }

  /**
   * Whether the API and its database answer, right now: no repeats, no key, no throw, not counted. False
   * when the service is switched off.
   */
  async health(options: Omit<CallOptions, "throwOnError"> = {}): Promise<boolean> {
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    if (this.#transport === undefined || !isTimeout(timeoutMs)) return false;
    try {
      const { baseUrl, fetch: given } = this.#transport;
      const answer = await getOpenly(`${baseUrl}/health`, given ?? fetch, {
        timeoutMs,
        signal: options.signal,
      });
      return healthSchema.safeParse(answer).success;
    } catch {
      return false;
    }
  }

  /** Waits for the calls under way, and sends nothing from now on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#underWay);
    this.#tenants.clear();
  }

  /** {@linkcode close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #readSession<T>(what: string, given: SessionArguments, read: Plan<T>["read"]): Plan<T> {
    const { sessionId } = given;
    const path = `/api/v1/conversations/${segment(sessionId, "sessionId")}${what}`;
    return { ...get(path, this.#tenant(given)), read, sessionId };
  }

  #write<T>(
    method: "POST" | "PATCH",
    what: string,
    given: WriteArguments,
    body: Record<string, unknown>,
    read: Plan<T>["read"],
  ): Plan<T> {
    const { sessionId, version } = given;
    return {
      method,
      path: `/api/v1/conversations/${segment(sessionId, "sessionId")}/${what}`,
      body: { ...this.#tenant(given), version, ...body },
      // With a version, the repeat of a write whose answer was lost would conflict with that write.
      isIdempotent: version === undefined,
      read,
      sessionId,
    };
  }

  #tenant({ subDomain, localId }: TenantArguments): TenantArguments {
    if (subDomain !== undefined) return { subDomain: required(subDomain, "subDomain"), localId };
    return {
      subDomain: required(this.#subDomain, "subDomain"),
      localId: localId ?? this.#localId,
    };
  }

  #forgetSession(sessionId: string): void {
    for (const lookup of this.#lookups) lookup.gone.add(sessionId);
    this.#tenants.deleteWhere((known) => known.sessionId === sessionId);
  }

  #call<T>(
    operation: string,
    options: CallOptions | undefined,
    plan: () => Plan<T>,
  ): Promise<T | null> {
    const transport = this.#transport;
    if (transport === undefined) return Promise.resolve(null);
    const running = this.#run(operation, options ?? {}, plan, transport);
    this.#underWay.add(running);
    const forget = () => void this.#underWay.delete(running);
    running.then(forget, forget);
    return running;
  }

  async #run<T>(
    operation: string,
    options: CallOptions,
    plan: () => Plan<T>,
    transport: TransportOptions,
  ): Promise<T | null> {
    const startedAt = performance.now();
    const count = (outcome: "succeeded" | "failed") => {
      const durationMs = performance.now() - startedAt;
      this.#calls.add(outcome, durationMs);
      if (operation === "syncConversationFromAgent") this.#syncs.add(outcome, durationMs);
      return durationMs;
    };
    let call: Plan<T> | undefined;
    try {
      const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
      if (this.#isClosed) throw new ConversationSyncError("closed", "The service is closed");
      if (!isTimeout(timeoutMs)) throw invalid("timeoutMs is not a time");
      call = plan();
      const result = await sendCall(call, transport, { timeoutMs, signal: options.signal });
      count("succeeded");
      return result;
    } catch (error) {
      const failure = error instanceof ConversationSyncError
        ? error
        : invalid("The arguments cannot be read");
      if (failure.kind === "not_found" && call?.sessionId !== undefined) {
        this.#forgetSession(call.sessionId);
      }
      const isNone = failure.kind === "not_found" && failure.code !== "workspace_not_found";
      if (isNone && call?.method === "GET") {
        count("succeeded");
        return null;
      }
      const durationMs = count("failed");
      const isExpected = ["not_found", "conflict", "aborted", "closed"].includes(failure.kind);
      this.#logger[isExpected ? "warn" : "error"]("conversation sync error", {
        operation,
        kind: failure.kind,
        status: failure.status,
        code: failure.code,
        request_id: failure.requestId,
        duration_ms: Math.round(durationMs),
      });
      if (options.throwOnError ?? this.#options.throwOnError) throw failure;
      return null;
    }
  }
}

function get(path: string, query: object = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) parameters.set(name, String(value));
  }
  const search = parameters.size > 0 ? `?${parameters}` : "";
  return { method: "GET", path: path + search, isIdempotent: true } as const;
}

function readState(data: unknown): ConversationState | undefined {
  return stateSchema.safeParse(data).data;
}

function readOrders(data: unknown): ConversationOrders | undefined {
  return ordersSchema.safeParse(data).data;
}

/** A part of a path. `.` and `..` would lead to another route. */
function segment(value: unknown, name: string): string {
  const text = required(value, name);
  if (text === "." || text === "..") throw invalid(`${name} is not one`);
  return encodeURIComponent(text);
}

function required(value: unknown, name: string): string {
  if (typeof value !== "string" || value.trim() === "") throw invalid(`${name} is missing`);
  return value;
}

function invalid(message: string): ConversationSyncError {
  return new ConversationSyncError("invalid_argument", message);
}

/** The usual spellings of a number are one customer. Digits in an identifier of another kind are no number. */
function phoneKey(phone: unknown): string {
  if (typeof phone !== "string") return "";
  const bare = phone.replace(/[\s().\-/\u2010-\u2015]/g, "");
  return /^\+?\d+$/.test(bare) ? bare.replace(/^(\+|00)/, "") : phone.trim();
}
