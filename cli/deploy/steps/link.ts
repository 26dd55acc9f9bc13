/**
 * Links this folder to the project, so that commands of the Supabase CLI that a person types later mean it.
 *
 * @module
 */

import { join } from "node:path";
import { readIfPresent } from "../../../local/files.ts";
import type { Deployment } from "../deployment.ts";
import type { Step } from "../step.ts";

/** Creates the step. */
export function linkFolder({ checkout, target, cli }: Deployment): Step {
  return {
    name: "link",
    async look() {
      const linked = await readIfPresent(join(checkout.supabaseDir, ".temp/project-ref"));
      if (linked?.trim() === target.ref) {
        return { kind: "done", text: `This folder is linked to ${target.name}.` };
      }
      return {
        kind: "change",
        text: `Link this folder to ${target.name} (${target.ref}).`,
        apply: () => cli.run(["link", "--project-ref", target.ref]),
      };
    },
  };
}
