/**
 * How this project runs the Supabase CLI.
 *
 * @module
 */

/** The CLI as Deno runs it, and the environment it gets. */
export const SUPABASE_CLI = {
  /** Has a program for every platform; some later versions lack one, and then cannot be installed. */
  program: "npm:supabase@2.117.0",
  env: { DO_NOT_TRACK: "1", SUPABASE_TELEMETRY_DISABLED: "1", NO_COLOR: "1" },
} as const;
