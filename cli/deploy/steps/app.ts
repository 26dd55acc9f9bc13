/**
 * Builds the inbox app for the project into a folder, which any static host serves.
 *
 * @module
 */

import { basename, join } from "node:path";
import { buildApp, hashApp } from "../../../local/app_build.ts";
import type { Deployment } from "../deployment.ts";
import type { Step } from "../step.ts";

/** Creates the step. */
export function buildHostedApp({ checkout, target, state }: Deployment): Step {
  const folder = join(state.folder, "app");
  const marker = join(state.folder, "app.json");
  const appDir = join(checkout.root, "app");
  const config = `${
    JSON.stringify({
      api_url: target.url,
      publishable_key: target.keys.publishable,
      has_realtime: true,
    })
  }\n`;
  return {
    name: "app",
    async look() {
      const wanted = JSON.stringify({ build: await hashApp(appDir), config });
      const present = await Deno.readTextFile(marker).catch(() => "");
      if (present === wanted) {
        return { kind: "done", text: `${folder} has the app of this checkout.` };
      }
      return {
        kind: "change",
        text: `Build the app into ${folder}; upload that folder to any static host.`,
        async apply() {
          const build = await buildApp({ appDir, buildsDir: join(checkout.localDir, "app") });
          await Deno.remove(folder, { recursive: true }).catch(() => {});
          await copyFolder(build, folder);
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

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(join(from, name), join(to, name));
    else await Deno.copyFile(join(from, name), join(to, name));
  }
}
