/**
 * Measures the cost of HTTP: gateway, function, REST API and SQL function, against the SQL function alone.
 *
 * @module
 */

import { createContenders, startOver, toBatch } from "../contenders.ts";
import { median, quantile, runConcurrently, takeTurns, time } from "../measure.ts";
import { makeThreads } from "../messages.ts";
import { type Figure, figure } from "../report.ts";
import { type BenchCase, type BenchContext, openDatabase, repeat } from "./case.ts";

const WORKERS = 4;
const REQUESTS = 16;

/** Measures requests to messaging-ingest. */
export const measureHttp: BenchCase = async (context) => {
  const sql = openDatabase(context, { max: WORKERS });
  try {
    await startOver(sql);
    const { ingest } = createContenders(sql);
    const post = async (batch: string) => {
      const { api_url, demo } = context.info;
      const response = await fetch(`${api_url}/functions/v1/messaging-ingest`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": demo.api_key },
        body:
          `{"platform":"whatsapp","connection_id":"${demo.connection_id}","conversations":${batch}}`,
      });
      const body = await response.text();
      if (response.status !== 200) throw new Error(`${response.status}: ${body}`);
    };
    const figures = [
      ...await compareRates(context, 1, ingest, post),
      ...await compareRates(context, WORKERS, ingest, post),
    ];

    const single: number[] = [];
    const threads = makeThreads("single-http", 50);
    for (let round = 0; round < repeat(context, 300) + 20; round++) {
      const batch = toBatch(threads[round % threads.length]!.next(1));
      const ms = await time(() => post(batch));
      if (round >= 20) single.push(ms);
    }
    return [
      ...figures,
      figure("http.single.p50", "One message by HTTP: median", median(single), "ms"),
      figure(
        "http.single.p95",
        "One message by HTTP: 95 of 100 within",
        quantile(single, 0.95),
        "ms",
      ),
    ];
  } finally {
    await sql.end();
  }
};

type Send = (batch: string) => Promise<unknown>;

async function compareRates(
  context: BenchContext,
  workers: number,
  ingest: Send,
  post: Send,
): Promise<Figure[]> {
  const rounds = repeat(context, 12);
  const many = (name: string, send: Send) => {
    // Created before the measurement. Each request has a conversation of its own.
    const batches = Array.from(
      { length: rounds + 2 },
      (_, round) =>
        makeThreads(`${name}-${workers}-${round}`, REQUESTS)
          .map((thread) => toBatch(thread.next(500))),
    );
    return (round: number) => runConcurrently(batches[round]!, workers, send);
  };
  const { sql: sqlMs, http: httpMs } = await takeTurns(
    { sql: many("sql", ingest), http: many("http", post) },
    rounds,
    2,
  );
  const rate = (samples: number[]) => REQUESTS * 500 / median(samples) * 1000;
  const name = `http.${workers}`;
  const title = `500-message requests, ${workers} at a time`;
  return [
    figure(`${name}.sql.rate`, `${title}: SQL function`, rate(sqlMs), "messages/s"),
    figure(`${name}.rate`, `${title}: messaging-ingest`, rate(httpMs), "messages/s"),
    figure(`${name}.ratio`, `${title}: HTTP / SQL`, rate(httpMs) / rate(sqlMs), "×", "≥ 0.5"),
  ];
}
