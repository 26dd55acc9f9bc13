/**
 * Applies the migrations that the project lacks, with `supabase db push`. The seed is left out: its keys are public.
 *
 * @module
 */

import { basename } from "node:path";
import * as z from "zod";
import { databaseFiles } from "../../../local/postgres/migrate.ts";
import { versionOf } from "../../../local/postgres/history.ts";
import { cliDatabase } from "../../../local/supabase_cli.ts";
import { CommandError } from "../../command_error.ts";
import type { ManagementApi } from "../../hosted/management_api.ts";
import type { Deployment } from "../deployment.ts";
import type { Step } from "../step.ts";

const historySchema = z.array(z.object({ version: z.string() }));
const poolersSchema = z.array(z.object({
  database_type: z.string(),
  pool_mode: z.string(),
  db_user: z.string(),
  db_host: z.string(),
  db_port: z.number(),
  db_name: z.string(),
}));

/** The pooler keeps a session for each client at this port, which migrations need. */
const SESSION_PORT = 5432;

/**
 * Creates the step.
 *
 * @param password Of the user `postgres`; without it, the API creates a login for some minutes.
 */
export function pushMigrations(deployment: Deployment, password: string | undefined): Step {
  const { checkout, api, cli } = deployment;
  return {
    name: "migrations",
    async look() {
      const files = databaseFiles(checkout).migrations.map((file) => versionOf(basename(file)));
      const applied = (await api.get("/database/migrations", historySchema))
        .map(({ version }) => version);
      const foreign = applied.filter((version) => !files.includes(version));
      if (foreign.length > 0) {
        throw new CommandError(
          `The database has migrations that this checkout lacks: ${
            foreign.slice(0, 5).join(", ")
          }` +
            `${
              foreign.length > 5 ? ` and ${foreign.length - 5} more` : ""
            }. Check out the version that it has, ` +
            "or a newer one; or use another project, if these are not of this one.",
        );
      }
      const missing = files.filter((version) => !applied.includes(version));
      if (missing.length === 0) {
        return { kind: "done", text: `All ${files.length} migrations are applied.` };
      }
      return {
        kind: "change",
        text: `Apply ${missing.length} of ${files.length} migrations.`,
        async apply() {
          const database = cliDatabase(await findDatabase(api, password));
          await cli.run(["db", "push", ...database.args, "--yes"], database.env);
        },
      };
    },
  };
}

/** Returns the address of the database, through the pooler, which has an IPv4 address on every plan. */
async function findDatabase(api: ManagementApi, password: string | undefined): Promise<string> {
  const poolers = await api.get("/config/database/pooler", poolersSchema);
  const pooler = poolers.find(({ database_type }) => database_type === "PRIMARY");
  if (pooler === undefined) throw new CommandError("The project has no connection pooler.");
  const login = password === undefined
    ? await api.createLoginRole()
    : { role: pooler.db_user.split(".")[0]!, password };
  const url = new URL("postgresql://host");
  url.hostname = pooler.db_host;
  url.port = String(pooler.pool_mode === "session" ? pooler.db_port : SESSION_PORT);
  url.pathname = `/${pooler.db_name}`;
  // The pooler finds the project by the name of the user.
  url.username = `${login.role}.${api.ref}`;
  url.password = login.password;
  return url.href;
}
