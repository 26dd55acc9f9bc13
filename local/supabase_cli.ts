/**
 * How this project runs the Supabase CLI.
 *
 * @module
 */

/** Arguments for Deno before those of the CLI, and the environment of the CLI. */
export const SUPABASE_CLI = {
  // This version has a program for every platform; some later ones lack one, and cannot be installed there.
  args: ["run", "-A", "--quiet", "npm:supabase@2.117.0"],
  env: { DO_NOT_TRACK: "1", SUPABASE_TELEMETRY_DISABLED: "1", NO_COLOR: "1" },
} as const;
