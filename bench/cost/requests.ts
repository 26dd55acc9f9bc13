/**
 * What a request to messaging-ingest costs all processes of the stack, beside a call of the REST API that inserts the
 * same messages as rows.
 *
 * @module
 */

import type postgres from "postgres";
import { type BenchContext, callsPerTurn, repeat } from "../cases/case.ts";
import { createContenders, toBatch } from "../contenders.ts";
import { median, takeTurnsBy } from "../measure.ts";
import { makeThreads } from "../messages.ts";
import { findFunctionAddress, type ProcessorTime, stackMeasure, totalTime } from "../processes.ts";
import { type Figure, figure, type Target } from "../report.ts";
import { atGateway, post, type Send, sendTo, serviceHeaders } from "./post.ts";

/** Measures requests of one message and of 500. */
export async function measureRequests(
  context: BenchContext,
  sql: postgres.Sql,
): Promise<Figure[]> {
  const ingest = sendTo(context, atGateway(context, "messaging-ingest"));
  // The first call starts the function, so that its address is known.
  await ingest(makeThreads("start", 1).map((thread) => thread.next(1)));
  const direct = sendTo(context, await findFunctionAddress(context.pid, "messaging-ingest"));
  const insert: Send = async (conversations) => {
    for (const { external_conversation_id, messages } of conversations) {
      await post(
        `${context.info.api_url}/rest/v1/rpc/bench_insert_messages`,
        serviceHeaders(context),
        JSON.stringify({ external_conversation_id, messages }),
      );
    }
  };
  const senders = { ingest, direct, insert };
  context.note("requests of one message");
  const single = await measure(
    context,
    senders,
    callsPerTurn(context, 100),
    await prepareSingle(sql),
  );
  context.note("requests of 500 messages");
  const batch = await measure(context, senders, callsPerTurn(context, 20), prepareBatches());
  return [
    ...describe("single", "Request of one message", single, "≤ 2.8"),
    ...describe("batch", "Request of 500 messages", batch, "≤ 2"),
  ];
}

/** The conversations of the next request of a contender. */
type Next = (name: string) => Parameters<Send>[0];

/** Conversations of all lengths from 1 to 99, because the cost of an append depends on the length of the head. */
async function prepareSingle(sql: postgres.Sql): Promise<Next> {
  const { ingest } = createContenders(sql);
  const threads = new Map(
    ["ingest", "direct", "insert"].map((name) => [name, makeThreads(`cost-${name}`, 50)]),
  );
  for (const own of threads.values()) {
    await ingest(toBatch(...own.map((thread, index) => thread.next(index * 2 + 1))));
  }
  let count = 0;
  return (name) => [threads.get(name)![count++ % 50]!.next(1)];
}

/** A new conversation each. */
function prepareBatches(): Next {
  let count = 0;
  return (name) =>
    makeThreads(`cost-batch-${name}-${count++}`, 1).map((thread) => thread.next(500));
}

/** Milliseconds a request, by contender and part of the stack. */
async function measure<Name extends string>(
  context: BenchContext,
  senders: Readonly<Record<Name, Send>>,
  requests: number,
  next: Next,
): Promise<Record<Name, ProcessorTime & { total: number }>> {
  const names = Object.keys(senders) as Name[];
  const samples = await takeTurnsBy(
    stackMeasure(context.pid),
    Object.fromEntries(names.map((name) => [name, async () => {
      for (let request = 0; request < requests; request++) await senders[name](next(name));
    }])) as Record<Name, () => Promise<void>>,
    repeat(context, 10),
    2,
  );
  return Object.fromEntries(names.map((name) => {
    const each = (read: (time: ProcessorTime) => number) =>
      median(samples[name].map(read)) / requests;
    return [name, {
      postgres: each((time) => time.postgres),
      gateway: each((time) => time.gateway),
      functions: each((time) => time.functions),
      total: each(totalTime),
    }];
  })) as Record<Name, ProcessorTime & { total: number }>;
}

function describe(
  name: string,
  title: string,
  { ingest, direct, insert }: Awaited<
    ReturnType<typeof measure<"ingest" | "direct" | "insert">>
  >,
  target: Target,
): Figure[] {
  const id = `cost.${name}`;
  return [
    figure(`${id}.ingest.ms`, `${title}: messaging-ingest, processor time`, ingest.total, "ms"),
    figure(`${id}.ingest.postgres.ms`, `${title}: of it Postgres`, ingest.postgres, "ms"),
    figure(
      `${id}.ingest.gateway.ms`,
      `${title}: of it gateway and REST API`,
      ingest.gateway,
      "ms",
    ),
    figure(`${id}.ingest.function.ms`, `${title}: of it the function`, ingest.functions, "ms"),
    figure(
      `${id}.direct.ms`,
      `${title}: the same without the gateway before it`,
      direct.total,
      "ms",
    ),
    figure(`${id}.insert.ms`, `${title}: insert by the REST API`, insert.total, "ms"),
    figure(
      `${id}.ratio`,
      `${title}: messaging-ingest / insert`,
      ingest.total / insert.total,
      "×",
      target,
    ),
  ];
}
