/**
 * `deno task doctor`: checks a project from inside and outside, and says what to do about each problem. Reads the
 * command line and prints; the other files do the work. Prints no key.
 *
 * @module
 */

import { basename, resolve } from "node:path";

import manifest from "../../deno.json" with { type: "json" };
import { databaseFiles } from "../../local/postgres/migrate.ts";
import { versionOf } from "../../local/postgres/history.ts";
import { readProject } from "../../local/project.ts";
import { print, runCommand } from "../command.ts";
import { findProject } from "../project.ts";
import type { Check } from "./check.ts";
import { checkDatabase } from "./database.ts";
import { HELP, readOptions } from "./options.ts";
import { checkFunctions, checkSignUp } from "./outside.ts";
import { formatChecks } from "./report.ts";

const ROOT = resolve(import.meta.dirname!, "../..");

async function main(args: string[]): Promise<number> {
  const options = readOptions(args);
  if (options === "help") {
    print(HELP);
    return 0;
  }
  const project = await findProject(Deno.env.toObject(), ROOT);
  const checks = await readChecks(project);
  const isHealthy = checks.every(({ status }) => status !== "problem");
  print(
    options.isJson
      ? `${JSON.stringify({ url: project.url, healthy: isHealthy, checks }, null, 2)}\n`
      : formatChecks(project.url, checks),
  );
  return isHealthy ? 0 : 1;
}

async function readChecks(project: { url: string; serviceKey: string }): Promise<Check[]> {
  const checkout = await readProject(ROOT);
  const migrations = databaseFiles(checkout).migrations.map((file) => versionOf(basename(file)));
  const [database, functions, signUp] = await Promise.all([
    checkDatabase(project, migrations.toSorted().at(-1)!),
    checkFunctions(project.url, Object.keys(checkout.config.functions), manifest.version),
    checkSignUp(project.url, project.serviceKey),
  ]);
  return [...database, ...functions, signUp];
}

if (import.meta.main) await runCommand("deno task doctor", main);
