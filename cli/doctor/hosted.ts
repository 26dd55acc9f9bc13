/**
 * The check that needs the Management API of a hosted project.
 *
 * @module
 */

import * as z from "zod";
import type { ManagementApi } from "../hosted/management_api.ts";
import type { Check } from "./check.ts";

const secretsSchema = z.array(z.object({ name: z.string() }));

/** Without it, no key of a connection can be stored. */
const REQUIRED = "CREDENTIALS_KEY";

/** Names the settings of the functions that the project has. Their values are never read. */
export async function checkSecrets(api: ManagementApi): Promise<Check> {
  const names = (await api.get("/secrets", secretsSchema)).map(({ name }) => name).toSorted();
  const isComplete = names.includes(REQUIRED);
  return {
    name: "secrets",
    status: isComplete ? "ok" : "problem",
    found: isComplete ? `Set: ${names.join(", ")}.` : `${REQUIRED} is not set.`,
    what_to_do: isComplete
      ? null
      : `Run deno task deploy --project-ref ${api.ref}, which generates it.`,
  };
}
