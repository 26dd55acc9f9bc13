/**
 * The Supabase project to start: its files, and the parts of `supabase/config.toml` that matter locally.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { parse } from "smol-toml";
import * as z from "zod";
import { CommandError } from "../cli/command_error.ts";

const functionSchema = z.looseObject({
  enabled: z.boolean().default(true),
  verify_jwt: z.boolean().default(true),
  import_map: z.string().optional(),
  entrypoint: z.string().optional(),
});

/** The defaults of the Supabase CLI, so that a missing key means the same in both. */
const configSchema = z.looseObject({
  api: z.looseObject({
    port: z.int().default(54321),
    schemas: z.array(z.string()).default(["public"]),
    extra_search_path: z.array(z.string()).default(["public", "extensions"]),
    max_rows: z.int().default(1000),
  }).prefault({}),
  db: z.looseObject({
    port: z.int().default(54322),
    migrations: z.looseObject({
      schema_paths: z.array(z.string()).default([]),
    }).prefault({}),
    seed: z.looseObject({
      enabled: z.boolean().default(true),
      sql_paths: z.array(z.string()).default(["./seed.sql"]),
    }).prefault({}),
  }).prefault({}),
  auth: z.looseObject({
    site_url: z.string().default("http://127.0.0.1:3000"),
    additional_redirect_urls: z.array(z.string()).default([]),
    jwt_expiry: z.int().default(3600),
    enable_signup: z.boolean().default(true),
    minimum_password_length: z.int().default(6),
    email: z.looseObject({
      enable_signup: z.boolean().default(true),
      enable_confirmations: z.boolean().default(false),
    }).prefault({}),
  }).prefault({}),
  realtime: z.looseObject({ enabled: z.boolean().default(true) }).prefault({}),
  functions: z.record(z.string(), functionSchema).default({}),
});

/** The used part of `supabase/config.toml`, with the defaults of the CLI. */
export type ProjectConfig = z.output<typeof configSchema>;

/** One project folder. All paths are absolute. */
export interface Project {
  /** The folder that holds `supabase/`. */
  readonly root: string;
  readonly supabaseDir: string;
  readonly functionsDir: string;
  readonly migrationsDir: string;
  /** Local data of the project; never committed. */
  readonly localDir: string;
  readonly config: ProjectConfig;
}

/**
 * Reads the project in a folder.
 *
 * @throws {CommandError} if there is no `supabase/config.toml` or it is invalid.
 */
export async function readProject(folder: string): Promise<Project> {
  const root = resolve(folder);
  const supabaseDir = join(root, "supabase");
  return {
    root,
    supabaseDir,
    functionsDir: join(supabaseDir, "functions"),
    migrationsDir: join(supabaseDir, "migrations"),
    localDir: join(root, ".local"),
    config: await readConfig(join(supabaseDir, "config.toml")),
  };
}

/**
 * Reads `config.toml` again, for settings that may change while the stack runs.
 *
 * @throws {CommandError} if the file is missing or invalid.
 */
export async function readConfig(path: string): Promise<ProjectConfig> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new CommandError(
      `${path} does not exist. Start in the folder of a Supabase project, or give --workdir.`,
    );
  }
  try {
    return configSchema.parse(parse(text));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new CommandError(`${path} is invalid: ${reason}`);
  }
}
