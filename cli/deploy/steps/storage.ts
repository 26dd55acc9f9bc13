/**
 * The bucket of files: private, because it holds files of customers.
 *
 * @module
 */

import * as z from "zod";
import type { Deployment } from "../deployment.ts";
import type { Step } from "../step.ts";

const bucketsSchema = z.array(z.object({ id: z.string(), public: z.boolean() }));
const CREATE = `
insert into storage.buckets (id, name, public) values ('media', 'media', false)
on conflict (id) do update set public = false`;

/** Creates the step. */
export function createBucket({ api }: Deployment): Step {
  return {
    name: "storage",
    async look() {
      const bucket = (await api.get("/storage/buckets", bucketsSchema))
        .find(({ id }) => id === "media");
      if (bucket?.public === false) {
        return { kind: "done", text: "The bucket media is there, and private." };
      }
      return {
        kind: "change",
        text: bucket ? "Make the bucket media private." : "Create the private bucket media.",
        apply: async () => void await api.query(CREATE, [], z.unknown()),
      };
    },
  };
}
