/**
 * Webhooks of a number in Kapso's Platform API.
 *
 * @module
 */

// deno-lint-ignore-file camelcase -- these are the names of the wire

import pRetry from "p-retry";
import { z } from "zod";

import { Problem } from "./problem.ts";

const webhookSchema = z.object({
  id: z.string(),
  url: z.string(),
  kind: z.string().nullish(),
  active: z.boolean(),
  events: z.array(z.string()).nullish().transform((events) => events ?? []),
  payload_version: z.string().nullish(),
  buffer_enabled: z.boolean().nullish(),
});

const deliverySchema = z.object({
  id: z.string(),
  event: z.string().nullish(),
  status: z.string(),
  response_status: z.number().nullish(),
  attempt_count: z.number().nullish(),
  created_at: z.string().nullish(),
  error_message: z.string().nullish(),
});

/** A webhook, as Kapso lists it. */
export type Webhook = z.output<typeof webhookSchema>;
/** A row of Kapso's delivery log. */
export type DeliveryRow = z.output<typeof deliverySchema>;

/** What a webhook is to be. */
export interface WebhookSettings {
  url: string;
  secret_key: string;
  kind: "kapso";
  payload_version: "v2";
  active: true;
  events: string[];
}

/** Options of {@linkcode createPlatformApi}. */
export interface PlatformApiOptions {
  baseUrl: string;
  apiKey: string;
  fetch?: typeof fetch;
  /** First wait before a request is repeated. */
  minWaitMs?: number;
}

/** The part of the Platform API that is about webhooks. */
export interface PlatformApi {
  listWebhooks(phoneNumberId: string): Promise<Webhook[]>;
  /** @returns undefined where a webhook with this URL exists already. */
  createWebhook(phoneNumberId: string, settings: WebhookSettings): Promise<Webhook | undefined>;
  changeWebhook(id: string, change: Partial<Omit<WebhookSettings, "kind">>): Promise<Webhook>;
  sendTest(id: string, event: string): Promise<void>;
  /** The newest deliveries first. */
  listDeliveries(id: string, limit: number): Promise<DeliveryRow[]>;
}

/** Kapso refused. `status` says why. */
export class KapsoRefusal extends Problem {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const TIMEOUT_MS = 15_000;
const PAGE_SIZE = 100;
const PATH = "/platform/v1/whatsapp";

/** A client of the Platform API. */
export function createPlatformApi(options: PlatformApiOptions): PlatformApi {
  const { apiKey, fetch: send = fetch } = options;
  const base = options.baseUrl.replace(/\/+$/, "");

  const attempt = async (method: string, path: string, body: unknown): Promise<unknown> => {
    const response = await send(`${base}${path}`, {
      method,
      headers: {
        "X-API-Key": apiKey,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      // The key must not follow a redirect to another host.
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    const json = parse(text);
    if (!response.ok) throw new KapsoRefusal(response.status, explain(response.status, json));
    return json;
  };

  const request = async <Schema extends z.ZodType>(
    schema: Schema,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<z.output<Schema>> => {
    let answer: unknown;
    try {
      answer = await pRetry(() => attempt(method, path, body), {
        // What makes or sends something is not repeated: nobody knows whether it was done.
        retries: method === "POST" ? 0 : 3,
        minTimeout: options.minWaitMs ?? 500,
        shouldRetry: ({ error }) =>
          !(error instanceof KapsoRefusal) || error.status === 429 || error.status >= 500,
      });
    } catch (error) {
      if (error instanceof Problem) throw error;
      const reason = error instanceof Error ? error.message.replaceAll(apiKey, "…") : String(error);
      throw new Problem(`Kapso cannot be reached at ${base}: ${reason}`);
    }
    const parsed = schema.safeParse(answer);
    if (!parsed.success) {
      throw new Problem(`Kapso answered something else than expected to ${method} ${path}`);
    }
    return parsed.data;
  };

  const one = z.object({ data: webhookSchema });
  return {
    async listWebhooks(phoneNumberId) {
      const found: Webhook[] = [];
      for (let page = 1;; page++) {
        const { data } = await request(
          z.object({ data: z.array(webhookSchema) }),
          "GET",
          `${webhooksOf(phoneNumberId)}?per_page=${PAGE_SIZE}&page=${page}`,
        );
        found.push(...data);
        if (data.length < PAGE_SIZE) return found;
      }
    },
    async createWebhook(phoneNumberId, settings) {
      const path = webhooksOf(phoneNumberId);
      try {
        return (await request(one, "POST", path, { whatsapp_webhook: settings })).data;
      } catch (error) {
        if (error instanceof KapsoRefusal && error.status === 409) return undefined;
        throw error;
      }
    },
    async changeWebhook(id, change) {
      const path = `${PATH}/webhooks/${encodeURIComponent(id)}`;
      return (await request(one, "PATCH", path, { whatsapp_webhook: change })).data;
    },
    async sendTest(id, event) {
      const path = `${PATH}/webhooks/${encodeURIComponent(id)}/test`;
      await request(z.unknown(), "POST", path, { event_type: event });
    },
    async listDeliveries(id, limit) {
      const query = new URLSearchParams({ webhook_id: id, period: "24h", limit: String(limit) });
      const path = `/platform/v1/webhook_deliveries?${query}`;
      return (await request(z.object({ data: z.array(deliverySchema) }), "GET", path)).data;
    },
  };
}

function webhooksOf(phoneNumberId: string): string {
  return `${PATH}/phone_numbers/${encodeURIComponent(phoneNumberId)}/webhooks`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A page of HTML, from whoever stands in front of Kapso.
    return undefined;
  }
}

function explain(status: number, json: unknown): string {
  const said = z.object({
    error: z.union([z.string(), z.object({ message: z.string() }).transform((it) => it.message)]),
  }).safeParse(json).data?.error.slice(0, 300);
  const meaning: Record<number, string> = {
    401: "Kapso does not accept KAPSO_API_KEY",
    403: "KAPSO_API_KEY may not do this",
    404: "Kapso does not know this number or webhook; is the key one of the right project?",
    429: "Kapso's rate limit is used up; try again in a minute",
  };
  const start = meaning[status] ?? `Kapso answered ${status}`;
  return said === undefined ? `${start}.` : `${start}: ${said}`;
}
