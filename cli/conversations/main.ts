/**
 * `deno task merge:conversations`: merges conversations that exist twice. Reads the command line and prints; merge.ts
 * does the work. Prints no names, numbers or texts.
 *
 * @module
 */

import { resolve } from "node:path";

import {
  createServiceClient,
  type DatabaseClient,
} from "../../supabase/functions/_shared/database/clients.ts";
import { AppError } from "../../supabase/functions/_shared/http/errors.ts";
import { print, runCommand } from "../command.ts";
import { CommandError, usageError } from "../command_error.ts";
import { readArguments } from "../options.ts";
import { findProject } from "../project.ts";
import { findWorkspace } from "../workspaces.ts";
import { findPairs, mergePair } from "./merge.ts";

const ROOT = resolve(import.meta.dirname!, "../..");

const HELP = `Merges conversations of one contact and one number that are stored twice.

  deno task merge:conversations <workspace-slug or id> [--dry-run]

  --dry-run   print what would be merged, and merge nothing
  --help

Environment:
  SUPABASE_URL, SUPABASE_SECRET_KEY   the project; otherwise the one of deno task start

Kept is the conversation that Kapso answers, else the older one. Every message stays, once. Run it again if
it was stopped.
`;

async function main(args: string[]): Promise<number> {
  const { values, positionals } = readArguments({
    args,
    allowPositionals: true,
    options: { "dry-run": { type: "boolean" }, help: { type: "boolean", short: "h" } },
  });
  if (values.help) {
    print(HELP);
    return 0;
  }
  const [wanted, ...others] = positionals;
  if (wanted === undefined || others.length > 0) throw usageError("Give one workspace.");
  const project = await findProject(Deno.env.toObject(), ROOT);
  const client = createServiceClient({ supabaseUrl: project.url, secretKey: project.serviceKey });
  const workspaceId = await findWorkspace(client, wanted);
  try {
    return await mergeAll(client, workspaceId, values["dry-run"] ?? false);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new CommandError(`${error.message}. Nothing is lost: run the command again.`);
  }
}

async function mergeAll(
  client: DatabaseClient,
  workspaceId: string,
  isDryRun: boolean,
): Promise<number> {
  let merged = 0;
  for (;;) {
    const pairs = await findPairs(client, workspaceId);
    for (const pair of pairs) {
      const name = `${pair.platform} ${pair.mergeId} into ${pair.keepId}`;
      if (isDryRun) {
        print(`${name}: up to ${pair.messages} messages\n`);
      } else {
        print(`${name}: ${await mergePair(client, workspaceId, pair)} messages moved\n`);
      }
      merged++;
    }
    if (isDryRun || pairs.length === 0) break;
  }
  const pairsText = merged === 1 ? "1 conversation" : `${merged} conversations`;
  print(isDryRun ? `${pairsText} to merge.\n` : `${pairsText} merged.\n`);
  return 0;
}

if (import.meta.main) await runCommand("deno task merge:conversations", main);
