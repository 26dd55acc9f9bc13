/**
 * All checks of a project.
 *
 * @module
 */

import { basename } from "node:path";

import manifest from "../../deno.json" with { type: "json" };
import { versionOf } from "../../local/postgres/history.ts";
import { databaseFiles } from "../../local/postgres/migrate.ts";
import type { Project as Checkout } from "../../local/project.ts";
import type { ManagementApi } from "../hosted/management_api.ts";
import type { Project } from "../project.ts";
import type { Check } from "./check.ts";
import { checkDatabase } from "./database.ts";
import { checkSecrets } from "./hosted.ts";
import { checkFunctions, checkSettings, checkSignUp } from "./outside.ts";

/**
 * Checks a project against this checkout.
 *
 * @param api The Management API of a hosted project, for what only it knows.
 */
export async function readChecks(
  project: Project,
  checkout: Checkout,
  api?: ManagementApi,
): Promise<Check[]> {
  const migrations = databaseFiles(checkout).migrations.map((file) => versionOf(basename(file)));
  const checks = await Promise.all([
    checkDatabase(project, migrations.toSorted().at(-1)!),
    checkFunctions(project.url, Object.keys(checkout.config.functions), manifest.version),
    checkSettings(project.url, project.serviceKey),
    checkSignUp(project.url, project.serviceKey).then((check) => [check]),
    api === undefined ? [] : checkSecrets(api).then((check) => [check]),
  ]);
  return checks.flat();
}
