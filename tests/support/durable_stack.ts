/**
 * This project on a database that is not thrown away, and that can be stopped: `--ephemeral` trades
 * durability for speed.
 *
 * @module
 */

import { cp } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { findFreePort } from "../../local/ports.ts";
import { processStatus, sendSignal } from "../../local/processes.ts";
import { type Stack, startStack } from "../../local/spawn_stack.ts";

/** A stack on data of its own, which is removed when it is disposed of. */
export interface DurableStack extends AsyncDisposable {
  readonly stack: Stack;
  readonly workdir: string;
  /** Kills Postgres; the stack starts it again. */
  killPostgres(): Promise<void>;
  /** Freezes all of Postgres for a time, so that nobody gets an answer, and kills it then. */
  stopPostgres(ms: number): Promise<void>;
}

/** Starts one. */
export async function startDurableStack(): Promise<DurableStack> {
  const root = join(import.meta.dirname!, "../..");
  const workdir = await Deno.makeTempDir({ prefix: "outage-test-" });
  // Postgres may run as another user than the one who runs the tests.
  await Deno.chmod(workdir, 0o755);
  for (const path of ["supabase", "import_map.json", "deno.json", "deno.lock"]) {
    await cp(join(root, path), join(workdir, path), { recursive: true });
  }
  const config = join(workdir, "supabase/config.toml");
  const text = await Deno.readTextFile(config);
  await Deno.writeTextFile(config, text.replace("port = 54322", `port = ${findFreePort()}`));
  const stack = await startStack({ workdir, args: ["--port", "0"] });
  const readPid = async () => {
    const pidFile = await Deno.readTextFile(join(workdir, ".local/data/postmaster.pid"));
    return Number(pidFile.split("\n")[0]);
  };
  return {
    stack,
    workdir,
    async killPostgres() {
      Deno.kill(await readPid(), "SIGKILL");
    },
    async stopPostgres(ms) {
      const postmaster = await readPid();
      // First of all the one that would start others.
      Deno.kill(postmaster, "SIGSTOP");
      const backends = await childrenOf(postmaster);
      for (const pid of backends) sendSignal(pid, "SIGSTOP");
      await delay(ms);
      for (const pid of [postmaster, ...backends]) sendSignal(pid, "SIGKILL");
    },
    async [Symbol.asyncDispose]() {
      await stack.stop();
      await Deno.remove(workdir, { recursive: true });
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
