/**
 * `deno task test:supabase`: the API tests against `supabase start`, which needs Docker. The tests then meet
 * the real PostgREST, Auth, Storage and Edge Runtime. Files that start a stack of their own are left out.
 *
 * Arguments are test files; without any, all of tests/functions.
 *
 * @module
 */

import { globSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SUPABASE_CLI } from "../local/supabase_cli.ts";
import { createSettings, envFile, readStatus, usesGivenStack } from "./support/supabase_stack.ts";

/** Services that no test of the API uses. */
const EXCLUDED = "imgproxy,logflare,mailpit,postgres-meta,studio,supavisor,vector";
const READY_TIMEOUT_MS = 180_000;

/** How to run. */
export interface RunOptions {
  /** Test files, relative to the project. */
  readonly files: readonly string[];
  /** Program and arguments of the Supabase CLI. */
  readonly cli: readonly string[];
  /** Where the output of the CLI and the tests goes. */
  readonly output: "inherit" | "null";
}

const root = fileURLToPath(new URL("..", import.meta.url));
const cliEnv = {
  ...SUPABASE_CLI.env,
  // Each test signs up its own users; Auth allows 30 in five minutes by default.
  SUPABASE_AUTH_RATE_LIMIT_SIGN_IN_SIGN_UPS: "100000",
};

/**
 * Starts Supabase, runs test files on it and stops it.
 *
 * @returns the exit code of `deno test`.
 * @throws {Error} when the CLI fails or the functions do not answer within three minutes.
 */
export async function runOnSupabase({ files, cli, output }: RunOptions): Promise<number> {
  const [program = "", ...prefix] = cli;
  const supabase = (args: readonly string[], stdout: "inherit" | "null" | "piped" = output) =>
    new Deno.Command(program, {
      args: [...prefix, ...args],
      cwd: root,
      env: cliEnv,
      stdin: "null",
      stdout,
      stderr: output,
    });
  const run = async (...args: string[]) => {
    const { success, stdout } = await supabase(args, "piped").output();
    if (!success) throw new Error(`supabase ${args.join(" ")} failed.`);
    return new TextDecoder().decode(stdout);
  };

  const settings = createSettings();
  const env = await Deno.makeTempFile({ prefix: "functions-", suffix: ".env" });
  await Deno.writeTextFile(env, envFile(settings));
  try {
    await run("start", "--exclude", EXCLUDED);
    const info = readStatus(await run("status", "--output", "json"), settings);
    const functions = supabase(["functions", "serve", "--env-file", env]).spawn();
    try {
      await untilReady(`${info.api_url}/functions/v1/conversation-sync/health`);
      const { code } = await new Deno.Command(Deno.execPath(), {
        args: ["test", "--allow-all", "--frozen", ...files],
        cwd: root,
        env: { TEST_STACK: JSON.stringify(info) },
        stdout: output,
        stderr: output,
      }).spawn().status;
      return code;
    } finally {
      try {
        functions.kill("SIGINT");
      } catch { /* It has ended already. */ }
      await functions.status;
    }
  } finally {
    await Deno.remove(env);
    await supabase(["stop", "--no-backup"]).output();
  }
}

async function untilReady(url: string): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (Date.now() < deadline) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
      await response.body?.cancel();
      if (response.ok) return;
    } catch { /* The gateway does not answer yet. */ }
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  throw new Error("The functions did not answer within three minutes.");
}

if (import.meta.main) {
  const files = Deno.args.length > 0
    ? Deno.args
    : globSync("tests/functions/**/*_test.ts", { cwd: root })
      .filter((file) => usesGivenStack(Deno.readTextFileSync(`${root}${file}`)))
      .sort();
  Deno.exitCode = await runOnSupabase({
    files,
    cli: [Deno.execPath(), ...SUPABASE_CLI.args],
    output: "inherit",
  });
}
