/**
 * Sets the settings of the functions as secrets of the project. A missing `CREDENTIALS_KEY` is generated, and kept in a
 * file before it is sent, because without it the stored keys of connections cannot be read again. Prints names only.
 *
 * @module
 */

import * as z from "zod";
import { CommandError } from "../../command_error.ts";
import type { Deployment } from "../deployment.ts";
import type { Step } from "../step.ts";

/** The API gives a digest in place of each value. */
const secretsSchema = z.array(z.object({ name: z.string(), value: z.string() }));
const KEY = "CREDENTIALS_KEY";

/**
 * Creates the step.
 *
 * @param variables Settings of the functions by their names; those of the platform are left out.
 */
export function setSecrets(deployment: Deployment, variables: Record<string, string>): Step {
  const { api, state } = deployment;
  return {
    name: "secrets",
    async look() {
      const present = new Map(
        (await api.get("/secrets", secretsSchema)).map(({ name, value }) => [name, value]),
      );
      // The platform sets these itself, and refuses them.
      const wanted = new Map(
        Object.entries(variables).filter(([name]) => !name.startsWith("SUPABASE_")),
      );
      const key = wanted.get(KEY);
      if (key !== undefined && present.has(KEY) && present.get(KEY) !== await digest(key)) {
        throw new CommandError(
          `${KEY} of the project differs from the one you give. With another one the stored keys of connections ` +
            `could not be read. Remove ${KEY} from your file, or see docs/operations.md, Rotation.`,
          { exitCode: 2 },
        );
      }
      const isGenerated = key === undefined && !present.has(KEY);
      const changed: string[] = [];
      for (const [name, value] of wanted) {
        if (present.get(name) !== await digest(value)) changed.push(name);
      }
      if (!isGenerated && changed.length === 0) {
        return { kind: "done", text: `Set: ${[...present.keys()].toSorted().join(", ")}.` };
      }
      return {
        kind: "change",
        text: [
          ...(isGenerated ? [`Generate ${KEY}, and keep a copy in ${state.secretsFile}.`] : []),
          ...(changed.length > 0 ? [`Set ${changed.toSorted().join(", ")}.`] : []),
        ].join(" "),
        async apply() {
          const secrets = changed.map((name) => ({ name, value: wanted.get(name)! }));
          if (isGenerated) {
            const value = (await state.readSecrets())[KEY] ?? generateKey();
            await state.keepSecret(KEY, value);
            secrets.push({ name: KEY, value });
          }
          await api.send("POST", "/secrets", secrets);
        },
      };
    },
  };
}

function generateKey(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toBase64();
}

async function digest(value: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(value));
  return new Uint8Array(bytes).toHex();
}
