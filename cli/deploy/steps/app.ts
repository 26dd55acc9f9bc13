/**
 * Builds the inbox app for the project into a folder, which any static host serves.
 *
 * @module
 */

import { cp } from "node:fs/promises";
import { basename, join } from "node:path";
import { buildApp, hashApp } from "../../../local/app_build.ts";
import { readIfPresent, removeIfPresent } from "../../../local/files.ts";
import type { Deployment } from "../deployment.ts";
import type { Step } from "../step.ts";

/**
 * Creates the step.
 *
 * @param readUrl Address for reads, where the project has a read replica.
 */
export function buildHostedApp(
  { checkout, target, state }: Deployment,
  readUrl: string | undefined,
): Step {
  const folder = join(state.folder, "app");
  const marker = join(state.folder, "app.json");
  const appDir = join(checkout.root, "app");
  const config = `${
    JSON.stringify({
      api_url: target.url,
      // Left out where it is undefined.
      read_url: readUrl,
      publishable_key: target.keys.publishable,
      has_realtime: true,
    })
  }\n`;
  return {
    name: "app",
    async look() {
      const wanted = JSON.stringify({ build: await hashApp(appDir), config });
      const present = await readIfPresent(marker);
      if (present === wanted) {
        return { kind: "done", text: `${folder} has the app of this checkout.` };
      }
      return {
        kind: "change",
        text: `Build the app into ${folder}; upload that folder to any static host.`,
        async apply() {
          const build = await buildApp({ appDir, buildsDir: join(checkout.localDir, "app") });
          await removeIfPresent(folder);
          await cp(build, folder, { recursive: true });
          await Deno.writeTextFile(join(folder, "config.json"), config);
          await Deno.writeTextFile(
            marker,
            JSON.stringify({ build: basename(build), config }),
          );
        },
      };
    },
  };
}
