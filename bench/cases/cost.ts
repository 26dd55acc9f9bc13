/**
 * Measures what messages and events cost: processor time, the write-ahead log and the disk, beside the least that the
 * same work could cost and beside a peer that keeps conversations as arrays. Needs Linux for processor time; elsewhere
 * those figures are left out.
 *
 * @module
 */

import { startOver } from "../contenders.ts";
import { measureArray } from "../cost/array.ts";
import { measureSessions, measureStorage } from "../cost/database.ts";
import { measureGrowth } from "../cost/growth.ts";
import { measureRequests } from "../cost/requests.ts";
import { measureBurst, measureWebhooks } from "../cost/webhooks.ts";
import { HAS_PROCESSOR_TIME } from "../processes.ts";
import type { Figure } from "../report.ts";
import { type BenchCase, openDatabase } from "./case.ts";

const CREATE = new URL("../rest_baselines.sql", import.meta.url);
const DROP = `
  drop function public.bench_insert_messages;
  drop table public.bench_messages, public.bench_webhook_events, public.bench_array_conversations`;

/** Measures everything that has a cost. */
export const measureCost: BenchCase = async (context) => {
  const sql = openDatabase(context);
  await sql.unsafe(await Deno.readTextFile(CREATE));
  try {
    await startOver(sql);
    const figures: Figure[] = [];
    if (HAS_PROCESSOR_TIME) {
      figures.push(
        ...await measureRequests(context, sql),
        ...await measureWebhooks(context, sql),
        ...await measureBurst(context, sql),
      );
    }
    figures.push(...await measureArray(context, sql));
    if (HAS_PROCESSOR_TIME) figures.push(...await measureSessions(context, sql));
    figures.push(...await measureStorage(context));
    if (HAS_PROCESSOR_TIME) figures.push(...await measureGrowth(context, sql));
    return figures;
  } finally {
    await sql.unsafe(DROP);
    await sql.end();
  }
};
