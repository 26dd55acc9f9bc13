/**
 * `deno task deploy`: brings this checkout to a hosted Supabase project and checks it. Reads the command line, asks and
 * prints; the steps do the work. Prints no key.
 *
 * @module
 */

import { resolve } from "node:path";

import { readIfPresent } from "../../local/files.ts";
import { readProject } from "../../local/project.ts";
import { print, runCommand } from "../command.ts";
import { usageError } from "../command_error.ts";
import { readChecks } from "../doctor/checks.ts";
import { formatChecks } from "../doctor/report.ts";
import { connectManagementApi } from "../hosted/management_api.ts";
import { findHostedProject } from "../hosted/project.ts";
import { SupabaseCli } from "../hosted/supabase_cli.ts";
import type { Deployment } from "./deployment.ts";
import { type DeployOptions, HELP, readOptions } from "./options.ts";
import { DeployState, readVariables } from "./state.ts";
import { runSteps, type Step } from "./step.ts";
import { buildHostedApp } from "./steps/app.ts";
import { exposeSchema } from "./steps/data_api.ts";
import { deployFunctions } from "./steps/functions.ts";
import { linkFolder } from "./steps/link.ts";
import { pushMigrations } from "./steps/migrations.ts";
import { closePublicChannels } from "./steps/realtime.ts";
import { connectSchedule } from "./steps/schedule.ts";
import { setSecrets } from "./steps/secrets.ts";
import { setSignUp } from "./steps/sign_up.ts";
import { createBucket } from "./steps/storage.ts";

const ROOT = resolve(import.meta.dirname!, "../..");

async function main(args: string[]): Promise<number> {
  const options = readOptions(args);
  if (options === "help") {
    print(HELP);
    return 0;
  }
  const env = Deno.env.toObject();
  const variables = await readEnvFile(options.envFile);
  const api = connectManagementApi(env, options.ref);
  const checkout = await readProject(options.workdir ?? ROOT);
  const target = await findHostedProject(api, env);
  const state = await DeployState.open(checkout.localDir, options.ref);
  const isAttended = Deno.stdin.isTerminal() && !options.isDryRun;
  const deployment: Deployment = {
    checkout,
    target,
    api,
    cli: new SupabaseCli(api, checkout.root, state.folder),
    state,
    confirm: isAttended ? (question) => Promise.resolve(confirm(question)) : undefined,
  };

  print(`${target.name}, ${target.url}\n\n`);
  const counts = await runSteps(
    listSteps(deployment, options, variables, env.SUPABASE_DB_PASSWORD),
    { isDryRun: options.isDryRun, print: (line) => print(`${line}\n`) },
  );
  if (options.isDryRun) {
    print(`\nSteps that would change something: ${counts.changed}. Nothing was changed.\n`);
    return 0;
  }

  const project = { url: target.url, serviceKey: target.keys.secret };
  const checks = await readChecks(project, checkout, api);
  print(`\n${formatChecks(target.url, checks)}`);
  if (checks.some(({ status }) => status === "problem")) return 1;
  print(counts.changed === 0 ? "\nNothing has changed.\n" : nextSteps(options));
  return 0;
}

/**
 * The steps in their order: the database before the functions that call it, secrets before the functions that read
 * them, and the schedule, which calls functions, after these.
 */
function listSteps(
  deployment: Deployment,
  options: DeployOptions,
  variables: Record<string, string>,
  password: string | undefined,
): Step[] {
  return [
    linkFolder(deployment),
    pushMigrations(deployment, password),
    setSecrets(deployment, variables),
    deployFunctions(deployment),
    connectSchedule(deployment),
    createBucket(deployment),
    exposeSchema(deployment),
    setSignUp(deployment, options),
    closePublicChannels(deployment),
    buildHostedApp(deployment, options.readUrl),
  ];
}

async function readEnvFile(path: string | undefined): Promise<Record<string, string>> {
  if (path === undefined) return {};
  const text = await readIfPresent(path);
  if (text === undefined) throw usageError(`--env-file: ${path} does not exist.`);
  return readVariables(text);
}

function nextSteps(options: DeployOptions): string {
  const users = `https://supabase.com/dashboard/project/${options.ref}/auth/users`;
  return `
Next:
- Keep a copy of the file with CREDENTIALS_KEY, if one was generated above.
- Upload the folder of the app to a static host${
    options.appUrl === undefined ? ", then deploy again with --app-url <its address>" : ""
  }.
- Create the first account: sign up in the app where that is open, otherwise invite it at ${users}.
docs/guides/deploy.md has more.
`;
}

if (import.meta.main) await runCommand("deno task deploy", main);
