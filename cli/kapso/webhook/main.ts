/**
 * `deno task kapso:webhook`: registers a number's webhook at Kapso, shows whether Kapso has paused it, resumes
 * and tests it. Reads the command line and prints; the other files do the work. Prints no key and no secret.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";

import { createServiceClient } from "../../../supabase/functions/_shared/database/clients.ts";
import { createCredentialCipher } from "../../../supabase/functions/_shared/auth/credentials.ts";
import {
  createKapsoClient,
  type KapsoClient,
  KapsoError,
} from "../../../supabase/functions/_shared/kapso/api/client.ts";
import { AppError } from "../../../supabase/functions/_shared/http/errors.ts";
import { EVENTS } from "../../../supabase/functions/_shared/kapso/webhook/normalize.ts";
import { print, runCommand } from "../../command.ts";
import { CommandError, usageError } from "../../command_error.ts";
import { oneOf, readArguments } from "../../options.ts";
import { type CommandDeps, register, resume, status, test } from "./commands.ts";
import { explainRefusal } from "./deliveries.ts";
import { readSecretKey } from "../../secret_key.ts";

const HELP = `Registers and checks the webhook of a Kapso number.

Usage: deno task kapso:webhook <command> <connection> [options]

  register    create the number's webhook, or adopt the one with our URL: all events, payload v2, active,
              with a secret of its own that is stored encrypted, as is the Kapso key
  status      show whether Kapso has paused it, and its last deliveries; ends with 1 if something is wrong
  resume      resume a paused webhook
  test        ask Kapso for a test event, and wait for its delivery

  <connection>   connection_id of the connection, e.g. wa_business_123

  --url <url>    where Kapso reaches kapso-webhook (SUPABASE_URL/functions/v1/kapso-webhook)
  --rotate       register: create a new secret; the old one stays valid for another day
  --event <name> test: the event to send (whatsapp.message.received)

Environment: KAPSO_API_KEY, SUPABASE_URL, SUPABASE_SECRET_KEY, CREDENTIALS_KEY,
and KAPSO_API_URL (https://api.kapso.ai).`;

const COMMANDS: Record<
  string,
  (deps: CommandDeps, name: string, options: Options) => Promise<number>
> = {
  register: (deps, name, { rotate }) => register(deps, name, { rotate }),
  status,
  resume,
  test: (deps, name, { event }) => test(deps, name, event),
};

interface Options {
  rotate: boolean;
  event: string;
  url?: string | undefined;
}

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help) {
    print(`${HELP}\n`);
    return 0;
  }
  const [name, connection, ...rest] = positionals;
  const command = Object.hasOwn(COMMANDS, name ?? "") ? COMMANDS[name!]! : undefined;
  if (command === undefined || connection === undefined || rest.length > 0) {
    throw usageError(`Give one of ${Object.keys(COMMANDS).join(", ")}, and one connection.`);
  }
  oneOf(values.event, "event", EVENTS);
  const env = Deno.env.toObject();
  const supabaseUrl = required(env, "SUPABASE_URL").replace(/\/+$/, "");
  const apiKey = required(env, "KAPSO_API_KEY");
  const deps: CommandDeps = {
    kapso: openKapso(apiKey, env.KAPSO_API_URL),
    apiKey,
    client: createServiceClient({
      supabaseUrl,
      secretKey: required({ SUPABASE_SECRET_KEY: readSecretKey(env) }, "SUPABASE_SECRET_KEY"),
    }),
    cipher: await readCipher(required(env, "CREDENTIALS_KEY")),
    webhookUrl: (values.url ?? `${supabaseUrl}/functions/v1/kapso-webhook`).replace(/\/+$/, ""),
    print: (line) => print(`${line}\n`),
    delay,
  };
  try {
    return await command(deps, connection, values);
  } catch (error) {
    if (error instanceof KapsoError) throw explainRefusal(error, deps.kapso.baseUrl);
    if (error instanceof AppError) throw new CommandError(`${error.message}.`);
    throw error;
  }
}

function parse(args: string[]) {
  return readArguments({
    args,
    allowPositionals: true,
    options: {
      url: { type: "string" },
      rotate: { type: "boolean", default: false },
      event: { type: "string", default: "whatsapp.message.received" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
}

function required(env: Record<string, string | undefined>, name: string): string {
  const value = env[name];
  if (!value) throw usageError(`The environment variable ${name} is not set.`);
  return value;
}

function openKapso(apiKey: string, baseUrl: string | undefined): KapsoClient {
  try {
    return createKapsoClient({ apiKey, ...(baseUrl ? { baseUrl } : {}) });
  } catch (error) {
    throw usageError(`KAPSO_API_URL is not usable: ${(error as Error).message}`);
  }
}

async function readCipher(key: string) {
  try {
    return await createCredentialCipher(key);
  } catch {
    throw usageError(
      "CREDENTIALS_KEY must be 32 bytes in base64, the same as the functions have.",
    );
  }
}

if (import.meta.main) await runCommand("deno task kapso:webhook", main);
