/**
 * A stack whose Postgres can be killed and stopped.
 *
 * @module
 */

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { processStatus, sendSignal } from "../../local/processes.ts";
import { type DurableStack, startDurableStack } from "../../local/spawn_durable_stack.ts";

/** A durable stack, and what can happen to its database. */
export interface OutageStack extends DurableStack {
  /** Kills Postgres; the stack starts it again. */
  killPostgres(): Promise<void>;
  /** Freezes all of Postgres for some milliseconds, so that no request is answered, then kills it. */
  stopPostgres(ms: number): Promise<void>;
}

/** Starts one. */
export async function startOutageStack(): Promise<OutageStack> {
  const project = await startDurableStack();
  const readPid = async () => {
    const pidFile = await Deno.readTextFile(join(project.workdir, ".local/data/postmaster.pid"));
    return Number(pidFile.split("\n")[0]);
  };
  return {
    ...project,
    async killPostgres() {
      Deno.kill(await readPid(), "SIGKILL");
    },
    async stopPostgres(ms) {
      const postmaster = await readPid();
      // The postmaster first: it would start other processes.
      Deno.kill(postmaster, "SIGSTOP");
      const backends = await childrenOf(postmaster);
      for (const pid of backends) sendSignal(pid, "SIGSTOP");
      await delay(ms);
      for (const pid of [postmaster, ...backends]) sendSignal(pid, "SIGKILL");
    },
  };
}

async function childrenOf(parent: number): Promise<number[]> {
  const { stdout } = await new Deno.Command("ps", { args: ["-A", "-o", "pid="] }).output();
  const pids = new TextDecoder().decode(stdout).split("\n").map(Number).filter((pid) => pid > 0);
  const children: number[] = [];
  for (const pid of pids) {
    if ((await processStatus(pid))?.parent === parent) children.push(pid);
  }
  return children;
}
