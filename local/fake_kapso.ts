/**
 * Runs a fake Kapso beside the stack (`--with-fake-kapso`): a few customers who write to the demo number and
 * answer, so that people without a Kapso account see live conversations. It is the fake of the tests, in a
 * process of its own.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod";
import { CommandError } from "../cli/command_error.ts";
import { forEachLine, logFrom } from "./log.ts";

/** Options of {@linkcode startFakeKapso}. */
export interface FakeKapsoOptions {
  readonly apiUrl: string;
  readonly phoneNumberId: string;
  readonly webhookSecret: string;
}

/** A running fake: where its API answers, and with which key. */
export interface FakeKapsoProcess {
  readonly info: { api_url: string; api_key: string };
  stop(): Promise<void>;
}

const infoSchema = z.object({ api_url: z.string(), api_key: z.string() });
const STOP_TIMEOUT_MS = 2_000;
const NAME = "fake-kapso";

const program = fileURLToPath(new URL("../fakes/kapso/main.ts", import.meta.url));
const parentWatch = fileURLToPath(new URL("gateway/function_parent_watch.ts", import.meta.url));

/**
 * Starts the fake and resolves when it delivers.
 *
 * @throws {CommandError} if it ends before that.
 */
export async function startFakeKapso(options: FakeKapsoOptions): Promise<FakeKapsoProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      `--preload=${parentWatch}`,
      program,
      "--json",
      "--webhook-url",
      `${options.apiUrl}/functions/v1/kapso-webhook`,
      "--phone-number-id",
      options.phoneNumberId,
    ],
    // Not an argument: other users of the machine can read those.
    env: { KAPSO_WEBHOOK_SECRET: options.webhookSecret, NO_COLOR: "1" },
    // Only the stack handles Ctrl-C, and stops the fake first.
    detached: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  forEachLine(child.stderr, (line) => logFrom(NAME, line));
  const { promise: ready, resolve } = Promise.withResolvers<string | undefined>();
  forEachLine(child.stdout, resolve);
  child.status.then(() => resolve(undefined));

  const line = await ready;
  if (line === undefined) {
    throw new CommandError(`The fake Kapso ended with code ${(await child.status).code}.`);
  }
  const info = infoSchema.parse(JSON.parse(line));
  return {
    info,
    async stop() {
      const signal = (name: Deno.Signal) => {
        try {
          child.kill(name);
        } catch { /* It has gone already. */ }
      };
      signal("SIGTERM");
      const isGone = await Promise.race([
        child.status.then(() => true),
        delay(STOP_TIMEOUT_MS).then(() => false),
      ]);
      if (!isGone) signal("SIGKILL");
      await child.status;
    },
  };
}
