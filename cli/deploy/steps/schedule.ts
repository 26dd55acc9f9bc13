/**
 * Tells the schedule in the database where the functions are, and gives it a key. Both are kept in the Vault.
 *
 * @module
 */

import * as z from "zod";
import { CommandError } from "../../command_error.ts";
import type { Deployment } from "../deployment.ts";
import type { Step } from "../step.ts";

const STORE = `
select case
  when found.id is null then vault.create_secret($2, $1)::text
  else vault.update_secret(found.id, $2)::text
end
from (values (1)) as one (row)
left join vault.secrets as found on found.name = $1`;

/** Creates the step. */
export function connectSchedule({ api, target }: Deployment): Step {
  return {
    name: "schedule",
    async look() {
      const [vault] = await api.query(
        "select to_regclass('vault.decrypted_secrets') is not null as is_there",
        [],
        z.object({ is_there: z.boolean() }),
      );
      if (!vault?.is_there) {
        throw new CommandError(
          "The database has no Vault. Enable supabase_vault in the dashboard, Database, Extensions.",
        );
      }
      const rows = await api.query(
        `select name from vault.decrypted_secrets
         where (name = 'project_url' and decrypted_secret = $1)
           or (name = 'service_key' and decrypted_secret = any(string_to_array($2, ',')))`,
        [target.url, target.keys.allSecret.join(",")],
        z.object({ name: z.string() }),
      );
      const stored = rows.map(({ name }) => name);
      const values = { project_url: target.url, service_key: target.keys.secret };
      const missing = Object.entries(values).filter(([name]) => !stored.includes(name));
      if (missing.length === 0) {
        return { kind: "done", text: "The Vault has the address of the functions and a key." };
      }
      return {
        kind: "change",
        text: `Store ${missing.map(([name]) => name).join(" and ")} in the Vault.`,
        async apply() {
          for (const [name, value] of missing) await api.query(STORE, [name, value], z.unknown());
        },
      };
    },
  };
}
