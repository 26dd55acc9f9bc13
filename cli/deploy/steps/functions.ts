/**
 * Deploys the functions. They are bundled on the server, which needs no Docker.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { globSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import type { Deployment } from "../deployment.ts";
import type { Step } from "../step.ts";

const functionsSchema = z.array(z.object({
  slug: z.string(),
  status: z.string(),
  version: z.number(),
  verify_jwt: z.boolean().nullish(),
}));

/** Creates the step. */
export function deployFunctions({ checkout, target, api, cli, state }: Deployment): Step {
  const names = Object.keys(checkout.config.functions);
  const readVersions = async () => {
    const found = await api.get("/functions", functionsSchema);
    return Object.fromEntries(
      found.filter(({ slug, status, verify_jwt }) =>
        names.includes(slug) && status === "ACTIVE" &&
        verify_jwt === checkout.config.functions[slug]!.verify_jwt
      ).map(({ slug, version }) => [slug, version]),
    );
  };
  return {
    name: "functions",
    async look() {
      const digest = await digestSources(checkout.root);
      const [versions, { functions: last }] = await Promise.all([readVersions(), state.read()]);
      const isSame = last?.digest === digest &&
        names.every((name) =>
          versions[name] !== undefined && versions[name] === last.versions[name]
        );
      if (isSame) {
        return { kind: "done", text: `All ${names.length} functions are those of this checkout.` };
      }
      return {
        kind: "change",
        text: `Deploy ${names.length} functions: ${names.join(", ")}.`,
        async apply() {
          const args = ["--use-api", "--project-ref", target.ref];
          await cli.run(["functions", "deploy", ...names, ...args]);
          await state.write({ functions: { digest, versions: await readVersions() } });
        },
      };
    },
  };
}

/** A digest of everything that goes into the functions. */
async function digestSources(root: string): Promise<string> {
  const files = globSync("supabase/functions/**/*.{ts,json}", { cwd: root }).toSorted();
  const hash = createHash("sha256");
  for (const file of [...files, "import_map.json", "supabase/config.toml"]) {
    hash.update(`${file}\n`).update(await Deno.readFile(join(root, file)));
  }
  return hash.digest("hex");
}
