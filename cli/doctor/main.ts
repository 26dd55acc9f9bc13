/**
 * `deno task doctor`: checks a project from inside and outside, and says what to do about each problem. Reads the
 * command line and prints; the other files do the work. Prints no key.
 *
 * @module
 */

import { resolve } from "node:path";

import { readProject } from "../../local/project.ts";
import { print, runCommand } from "../command.ts";
import { connectManagementApi, type ManagementApi } from "../hosted/management_api.ts";
import { findHostedProject } from "../hosted/project.ts";
import { findProject, type Project } from "../project.ts";
import { readChecks } from "./checks.ts";
import { HELP, readOptions } from "./options.ts";
import { formatChecks } from "./report.ts";

const ROOT = resolve(import.meta.dirname!, "../..");

async function main(args: string[]): Promise<number> {
  const options = readOptions(args);
  if (options === "help") {
    print(HELP);
    return 0;
  }
  const { project, api } = await findTarget(options.ref);
  const checks = await readChecks(project, await readProject(ROOT), api);
  const isHealthy = checks.every(({ status }) => status !== "problem");
  print(
    options.isJson
      ? `${JSON.stringify({ url: project.url, healthy: isHealthy, checks }, null, 2)}\n`
      : formatChecks(project.url, checks),
  );
  return isHealthy ? 0 : 1;
}

/** The project of a ref, otherwise the one that the environment names or that runs on this machine. */
async function findTarget(
  ref: string | undefined,
): Promise<{ project: Project; api?: ManagementApi }> {
  const env = Deno.env.toObject();
  if (ref === undefined) return { project: await findProject(env, ROOT) };
  const api = connectManagementApi(env, ref);
  const { url, keys } = await findHostedProject(api, env);
  return { project: { url, serviceKey: keys.secret }, api };
}

if (import.meta.main) await runCommand("deno task doctor", main);
