/**
 * Measures the peak memory and the processor time of each function under its largest allowed request. The hosted
 * Edge Runtime ends a worker above 256 MB, and above 2 s of processor time for a request. Needs Linux.
 *
 * @module
 */

import { seedHistory } from "../../fakes/kapso/history.ts";
import { deliveryHeaders } from "../../fakes/kapso/deliveries.ts";
import { makeThreads } from "../messages.ts";
import { findFunction, HAS_PROCESSOR_TIME, processorTime } from "../processes.ts";
import { type Figure, figure } from "../report.ts";
import { type BenchCase, type BenchContext, openDatabase } from "./case.ts";

const MB = 1024 * 1024;
/** Below the limits of bodies, for the envelope around the measured part. */
const ENVELOPE_BYTES = 64 * 1024;

/** A request as `fetch` takes it. */
interface LargeRequest {
  readonly path: string;
  readonly init: RequestInit;
}

/** Measures all functions, one after the other. */
export const measureLimits: BenchCase = async (context) => {
  if (!HAS_PROCESSOR_TIME) return [];
  const figures: Figure[] = [];
  for (const [name, prepare] of Object.entries(LARGEST)) {
    figures.push(...await measureFunction(context, name, await prepare(context)));
  }
  return figures;
};

async function measureFunction(
  context: BenchContext,
  name: string,
  { path, init }: LargeRequest,
): Promise<Figure[]> {
  const url = `${context.info.api_url}/functions/v1/${path}`;
  // Starts the function.
  await (await fetch(url, { method: "OPTIONS" })).body?.cancel();
  const pid = await findFunction(context.pid, name);
  // Forgets the peak so far.
  await Deno.writeTextFile(`/proc/${pid}/clear_refs`, "5");
  const before = await processorTime(pid);
  const response = await fetch(url, init);
  const answer = await response.text();
  // The figures are those of the function, so a database with too much to do does not end the case.
  if (!response.ok) context.note(`${name} answered ${response.status}: ${answer.slice(0, 200)}`);
  const title = `${name}, largest request`;
  return [
    figure(`limits.${name}.memory`, `${title}: peak memory`, await peakMemory(pid), "MB", "≤ 200"),
    figure(
      `limits.${name}.cpu`,
      `${title}: processor time`,
      (await processorTime(pid) - before) / 1000,
      "s",
      "≤ 1",
    ),
  ];
}

const LARGEST: Readonly<Record<string, (context: BenchContext) => Promise<LargeRequest>>> = {
  // 5 MB in 2,500 messages of 250 conversations, with letters that take two bytes each in memory.
  "messaging-ingest": ({ info }) => {
    const text = "😀" + "x".repeat((5 * MB - ENVELOPE_BYTES) / 2500 - 284);
    const conversations = makeThreads("limits", 250).map((thread) => {
      const conversation = thread.next(10);
      return {
        ...conversation,
        messages: conversation.messages.map((message) => ({ ...message, content: text })),
      };
    });
    return Promise.resolve({
      path: "messaging-ingest",
      init: {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": info.demo.api_key },
        body: JSON.stringify({
          platform: "whatsapp",
          connection_id: info.demo.connection_id,
          conversations,
        }),
      },
    });
  },
  "messaging-people": ({ info }) =>
    Promise.resolve({
      path: "messaging-people?limit=500",
      init: {
        headers: {
          "x-api-key": info.demo.api_key,
          "x-connection-id": info.demo.connection_id,
        },
      },
    }),
  // 3.5 MB in one batch of 100 messages. Text is at most 4 KB there; the rest are fields that are not read.
  "kapso-webhook": ({ info }) => {
    const text = "😀" + "x".repeat(4092);
    const unread = "x".repeat((3.5 * MB - ENVELOPE_BYTES) / 100 - text.length - 1000);
    const body = JSON.stringify({
      batch: true,
      data: Array.from({ length: 100 }, (_, index) => ({
        message: {
          id: `wamid.limits${index}`,
          timestamp: `${1772442000 + index}`,
          type: "text",
          from: "5511900000001",
          text: { body: text },
          unread,
          kapso: { direction: "inbound", status: "received", has_media: false },
        },
        conversation: {
          id: "3f2b6a52-6c0e-4b55-9d0f-0b6f1c2d7a11",
          phone_number: "+5511900000001",
          phone_number_id: info.demo.kapso_phone_number_id,
        },
        phone_number_id: info.demo.kapso_phone_number_id,
      })),
    });
    return Promise.resolve({
      path: "kapso-webhook",
      init: {
        method: "POST",
        headers: deliveryHeaders({
          event: "whatsapp.message.received",
          body,
          secretKey: info.demo.kapso_webhook_secret,
          idempotencyKey: crypto.randomUUID(),
          batchSize: 100,
        }),
        body,
      },
    });
  },
  // A slice: 40 pages of 100 messages.
  "kapso-sync": async (context) => {
    const { info, kapso } = context;
    const phoneNumberId = "400000000000001";
    seedHistory(kapso, {
      phoneNumber: kapso.addPhoneNumber(phoneNumberId, "+1 555 0199"),
      conversations: 100,
      messages: 15_000,
      picturesEvery: 0,
    });
    await using sql = disposable(openDatabase(context));
    await sql.client`
      insert into public.connections (connection_id, workspace_id, user_id, platform, name, phone_number_id)
      select ${phoneNumberId}, workspace_id, user_id, 'whatsapp', 'Measured', ${phoneNumberId}
      from public.connections where connection_id = ${info.demo.connection_id}`;
    return {
      path: "kapso-sync",
      init: {
        method: "POST",
        headers: { "content-type": "application/json", apikey: info.secret_key },
        body: JSON.stringify({ connection_id: phoneNumberId, messages_per_conversation: "all" }),
      },
    };
  },
  // A message of the largest size, 64 KB.
  "conversation-sync": async (context) => {
    const { info } = context;
    await using sql = disposable(openDatabase(context));
    await sql.client`
      insert into public.agent_sessions (session_id, workspace_id, participant_key, bot_id)
      select 'limits', id, '51900000000', 'bench' from public.workspaces where slug = ${info.demo.workspace}`;
    return {
      path: "conversation-sync/api/v1/whatsapp/agent/conversations/limits/messages",
      init: {
        method: "POST",
        headers: {
          authorization: `Bearer ${info.demo.agent_key}`,
          "content-type": "application/json",
        },
        body: JSON.stringify({ role: "user", content: "x".repeat(64 * 1024) }),
      },
    };
  },
  // A document of 16 MB.
  inbox: async (context) => {
    const { info, kapso } = context;
    kapso.addPhoneNumber(info.demo.kapso_phone_number_id, "+1 555 0198");
    await using sql = disposable(openDatabase(context));
    const [conversation] = await sql.client<{ id: string }[]>`
      select id from public.conversations
      where external_conversation_id like ${`${info.demo.kapso_phone_number_id}:%`} limit 1`;
    const form = new FormData();
    form.set("conversation_id", conversation!.id);
    form.set("file", new File([new Uint8Array(16 * MB)], "a.pdf", { type: "application/pdf" }));
    return {
      path: "inbox/uploads",
      init: { method: "POST", headers: await userHeaders(context), body: form },
    };
  },
  // All settings of a workspace.
  "workflow-settings": async (context) => {
    await using sql = disposable(openDatabase(context));
    const [workspace] = await sql.client<{ id: string }[]>`
      select id from public.workspaces where slug = ${context.info.demo.workspace}`;
    return {
      path: `workflow-settings/${workspace!.id}`,
      init: { headers: await userHeaders(context) },
    };
  },
  // All summaries that are due.
  "daily-summary": ({ info }) =>
    Promise.resolve({
      path: "daily-summary",
      init: {
        method: "POST",
        headers: { "content-type": "application/json", apikey: info.secret_key },
        body: "{}",
      },
    }),
};

/** Headers of a request that the app makes for the demo user. */
async function userHeaders({ info }: BenchContext): Promise<Record<string, string>> {
  const response = await fetch(`${info.api_url}/auth/v1/token?grant_type=password`, {
    method: "POST",
    headers: { apikey: info.publishable_key, "content-type": "application/json" },
    body: JSON.stringify({ email: info.demo.email, password: info.demo.password }),
  });
  const { access_token } = await response.json();
  return { apikey: info.publishable_key, authorization: `Bearer ${access_token}` };
}

function disposable(client: ReturnType<typeof openDatabase>) {
  return { client, [Symbol.asyncDispose]: () => client.end() };
}

/** The most memory that a process has used since its peak was forgotten, in MB. */
async function peakMemory(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) / 1024;
}
