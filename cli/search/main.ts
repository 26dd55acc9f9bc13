/**
 * `deno task search:rebuild`: makes the index of the search in messages again. Prints no names, numbers or texts.
 *
 * @module
 */

import { SingleBar } from "cli-progress";
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
import { findWorkspace, listWorkspaces } from "../workspaces.ts";
import { indexQueued, queueAll } from "./rebuild.ts";

const ROOT = resolve(import.meta.dirname!, "../..");

const HELP = `Makes the index of the search in messages again, from the messages.

  deno task search:rebuild [<workspace-slug or id>]

Without a workspace: all of them. The search works meanwhile. Needed where the index was lost, or after a
change of the rules of the search, as the CHANGELOG says. Run it again if it was stopped.

Environment:
  SUPABASE_URL, SUPABASE_SECRET_KEY   the project; otherwise the one of deno task start
`;

async function main(args: string[]): Promise<number> {
  const { values, positionals } = readArguments({
    args,
    allowPositionals: true,
    options: { help: { type: "boolean", short: "h" } },
  });
  if (values.help) {
    print(HELP);
    return 0;
  }
  if (positionals.length > 1) throw usageError("Give one workspace, or none for all.");
  const project = await findProject(Deno.env.toObject(), ROOT);
  const client = createServiceClient({ supabaseUrl: project.url, secretKey: project.serviceKey });
  const [wanted] = positionals;
  const ids = wanted === undefined
    ? (await listWorkspaces(client)).map(({ id }) => id)
    : [await findWorkspace(client, wanted)];
  try {
    await rebuild(client, ids);
    return 0;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new CommandError(`${error.message}. Nothing is lost: run the command again.`);
  }
}

async function rebuild(client: DatabaseClient, workspaceIds: readonly string[]): Promise<void> {
  let messages = 0;
  let rebuilt = 0;
  const bar = Deno.stdout.isTerminal()
    ? new SingleBar({ format: "{bar} {percentage} %  workspace {workspace} of {workspaces}" })
    : undefined;
  bar?.start(1, 0, { workspace: 1, workspaces: workspaceIds.length });
  try {
    for (const [place, workspaceId] of workspaceIds.entries()) {
      const queued = await queueAll(client, workspaceId);
      if (queued === undefined) continue;
      rebuilt++;
      bar?.setTotal(Math.max(1, queued));
      let done = 0;
      messages += await indexQueued(client, workspaceId, (rows) => {
        done += rows;
        bar?.update(Math.min(done, queued), { workspace: place + 1 });
      });
    }
  } finally {
    bar?.stop();
  }
  const off = workspaceIds.length - rebuilt;
  print(
    `${messages} messages of ${rebuilt} ${rebuilt === 1 ? "workspace" : "workspaces"} are indexed` +
      `${off === 0 ? "" : `. In ${off} the search in messages is switched off`}.\n`,
  );
}

if (import.meta.main) await runCommand("deno task search:rebuild", main);
