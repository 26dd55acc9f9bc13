/**
 * Realtime: private channels only. The policies of the database decide who may listen to these.
 *
 * @module
 */

import * as z from "zod";
import type { Deployment } from "../deployment.ts";
import type { Step } from "../step.ts";

/** Null: never set, which means false. */
const settingsSchema = z.object({ private_only: z.boolean().nullable() });

/** Creates the step. */
export function closePublicChannels({ api }: Deployment): Step {
  return {
    name: "realtime",
    async look() {
      const { private_only } = await api.get("/config/realtime", settingsSchema);
      if (private_only) return { kind: "done", text: "Only private channels are allowed." };
      return {
        kind: "change",
        text: "Allow private channels only.",
        apply: () => api.send("PATCH", "/config/realtime", { private_only: true }),
      };
    },
  };
}
