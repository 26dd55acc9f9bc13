/**
 * The Data API must show the schema `public`; new projects can be created without it.
 *
 * @module
 */

import * as z from "zod";
import type { Deployment } from "../deployment.ts";
import type { Step } from "../step.ts";

const settingsSchema = z.object({ db_schema: z.string() });

/** Creates the step. */
export function exposeSchema({ api }: Deployment): Step {
  return {
    name: "data api",
    async look() {
      const { db_schema } = await api.get("/postgrest", settingsSchema);
      const schemas = db_schema.split(",").map((name) => name.trim()).filter(Boolean);
      if (schemas.includes("public")) {
        return { kind: "done", text: "The Data API shows the schema public." };
      }
      return {
        kind: "change",
        text: "Let the Data API show the schema public.",
        apply: () =>
          api.send("PATCH", "/postgrest", { db_schema: ["public", ...schemas].join(",") }),
      };
    },
  };
}
