/**
 * A stack that `supabase start` runs in Docker, described as the tests need it.
 *
 * @module
 */

import { DEMO } from "../../local/demo.ts";
import type { StackInfo } from "../../local/stack.ts";

/** Settings that the tests expect of the functions, as `supabase/functions/.env.example` explains them. */
export interface FunctionSettings {
  readonly CREDENTIALS_KEY: string;
  readonly KAPSO_WEBHOOK_SECRET: string;
  readonly KAPSO_WORKSPACES: string;
}

/** Returns new settings for the functions. */
export function createSettings(): FunctionSettings {
  const key = crypto.getRandomValues(new Uint8Array(32));
  return {
    CREDENTIALS_KEY: btoa(String.fromCharCode(...key)),
    KAPSO_WEBHOOK_SECRET: crypto.randomUUID(),
    KAPSO_WORKSPACES: "*",
  };
}

/** Returns settings in the form of an env file. */
export function envFile(settings: FunctionSettings): string {
  return Object.entries(settings).map(([name, value]) => `${name}="${value}"\n`).join("");
}

/**
 * Reads what `supabase status --output json` prints.
 *
 * Functions under the CLI know the project by its legacy keys, so the tests use these as well. Tests prepare
 * data as the superuser, which is `supabase_admin` there; `postgres` has fewer rights.
 *
 * @throws {Error} when a value is missing, which means that a service does not run.
 */
export function readStatus(status: string, settings: FunctionSettings): StackInfo {
  const values: Record<string, unknown> = JSON.parse(status);
  const read = (name: string) => {
    const value = values[name];
    if (typeof value !== "string" || value === "") {
      throw new Error(`supabase status gives no ${name}: a service does not run.`);
    }
    return value;
  };
  const database = new URL(read("DB_URL"));
  database.username = "supabase_admin";
  return {
    api_url: read("API_URL").replace(/\/+$/, ""),
    db_url: database.href,
    publishable_key: read("ANON_KEY"),
    secret_key: read("SERVICE_ROLE_KEY"),
    app_url: null,
    demo: { ...DEMO, kapso_webhook_secret: settings.KAPSO_WEBHOOK_SECRET },
  };
}

/** Tells whether a test file uses the stack of the runner; the other files start their own. */
export function usesGivenStack(test: string): boolean {
  return /^const \w+ = useDatabase\(\)/m.test(test);
}
