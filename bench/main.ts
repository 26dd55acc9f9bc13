/**
 * `deno task bench`: measures the ingest function against a row per message and against one growing array, on a
 * Postgres of its own, prints one table and writes `bench/results.json` and `bench/plans.md`.
 *
 * @module
 */

import { cpus, totalmem } from "node:os";
import postgres from "postgres";
import { runCommand } from "../cli/command.ts";
import { oneOf, readArguments, wholeNumber } from "../cli/options.ts";
import { startFakeKapso } from "../fakes/kapso/fake_kapso.ts";
import { logInfo, print } from "../local/log.ts";
import { asRole, SUPERUSER } from "../local/postgres/roles.ts";
import { startDurableStack } from "../local/spawn_durable_stack.ts";
import type { BenchCase, BenchContext } from "./cases/case.ts";
import { measureApp } from "./cases/app.ts";
import { measureConversationSync } from "./cases/conversation_sync.ts";
import { measureCost } from "./cases/cost.ts";
import { measureDisk } from "./cases/disk.ts";
import { measureHttp } from "./cases/http.ts";
import { measureInbox } from "./cases/inbox.ts";
import { measureKapsoSync } from "./cases/kapso_sync.ts";
import { measureKapsoWebhook } from "./cases/kapso_webhook.ts";
import { measureLimits } from "./cases/limits.ts";
import { measureLongThread } from "./cases/long_thread.ts";
import { measurePageSizes } from "./cases/page_size.ts";
import { measureScale } from "./cases/scale.ts";
import { measureSearch } from "./cases/search.ts";
import { measureTenants } from "./cases/tenants.ts";
import { measureWriting } from "./cases/writing.ts";
import { type Environment, type Figure, formatTable, writeResults } from "./report.ts";

const CASES: Readonly<Record<string, BenchCase>> = {
  writing: measureWriting,
  long_thread: measureLongThread,
  http: measureHttp,
  kapso_webhook: measureKapsoWebhook,
  kapso_sync: measureKapsoSync,
  conversation_sync: measureConversationSync,
  disk: measureDisk,
  inbox: measureInbox,
  app: measureApp,
  page_size: measurePageSizes,
  limits: measureLimits,
  tenants: measureTenants,
  search: measureSearch,
  scale: measureScale,
  cost: measureCost,
};

const FULL_SIZE = 100_000;

const HELP = `Measures how fast and how small the database stores conversations.

Usage: deno task bench [options]

  --only <case>    one of ${Object.keys(CASES).join(", ")}
  --size <number>  messages in the longest conversation and conversations in the inbox (${FULL_SIZE}); of scale, the
                   messages of all workspaces. 10m is 10,000,000; from a million on, scale is the only case
  --quick          less of everything, in under a minute
  --help           print this help

Only a whole run at full size writes bench/results.json and bench/plans.md.`;

async function main(args: string[]): Promise<number> {
  const { values } = readArguments({
    args,
    options: {
      only: { type: "string" },
      size: { type: "string" },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    print(HELP);
    return 0;
  }
  const size = values.size === undefined
    ? values.quick ? FULL_SIZE / 10 : FULL_SIZE
    : wholeNumber(values.size.replace(/m$/, "000000").replace(/k$/, "000"), "size", { min: 1000 });
  const only = values.only ?? (size >= 1_000_000 ? "scale" : undefined);
  if (only !== undefined) oneOf(only, "only", Object.keys(CASES));
  const isComplete = !values.quick && size === FULL_SIZE;
  const start = performance.now();
  const note = (text: string) =>
    logInfo(`${((performance.now() - start) / 1000).toFixed(0).padStart(4)} s  ${text}`);

  note("starting Postgres and the functions");
  await using kapso = await startFakeKapso({ rateLimit: null });
  await using project = await startDurableStack({
    env: { KAPSO_API_URL: kapso.url, KAPSO_API_KEY: kapso.apiKey },
    hasApp: true,
  });
  const { stack } = project;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, async () => {
      await project[Symbol.asyncDispose]();
      Deno.exit(130);
    });
  }
  const context: BenchContext = {
    info: stack.info,
    pid: stack.pid!,
    kapso,
    size,
    effort: values.quick ? 0.2 : 1,
    isQuick: values.quick,
    isComplete,
    note,
  };
  const sql = postgres(asRole(stack.info.db_url, SUPERUSER), { max: 1, onnotice: () => {} });
  await sql.unsafe(await Deno.readTextFile(new URL("baselines.sql", import.meta.url)));
  const environment = await describeEnvironment(sql);
  await sql.end();
  const figures: Figure[] = [];
  for (const [name, measure] of Object.entries(CASES)) {
    if (only !== undefined && name !== only) continue;
    note(name);
    figures.push(...await measure(context));
  }
  print(formatTable(figures));
  if (isComplete && only === undefined) {
    await writeResults(new URL("results.json", import.meta.url), environment, figures);
  }
  return 0;
}

async function describeEnvironment(sql: postgres.Sql): Promise<Environment> {
  const [settings] = await sql`
    select current_setting('server_version') as postgres, current_setting('fsync') as fsync,
      current_setting('synchronous_commit') as synchronous_commit,
      current_setting('shared_buffers') as shared_buffers,
      current_setting('default_toast_compression') as default_toast_compression`;
  const { postgres, ...rest } = settings!;
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      memory_gb: Math.round(totalmem() / 2 ** 30),
      os: `${Deno.build.os} ${Deno.build.arch}`,
    },
    versions: { deno: Deno.version.deno, postgres },
    settings: rest,
  };
}

await runCommand("deno task bench", main);
