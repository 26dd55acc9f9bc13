/**
 * What a deployment leaves on this machine, in `.local/deploy/<ref>/`: the app to upload, the generated secret, and
 * what was deployed. Without the folder nothing is lost but a comparison: the next run deploys the functions again.
 *
 * @module
 */

import { join } from "node:path";
import { parseEnv } from "node:util";
import * as z from "zod";
import { readIfPresent } from "../../local/files.ts";

const stateSchema = z.object({
  /** The functions that were deployed: a digest of their sources, and the version of each at the project. */
  functions: z.object({ digest: z.string(), versions: z.record(z.string(), z.number()) })
    .optional(),
  /** The person decided that anyone may sign up. */
  is_open: z.boolean().optional(),
});

/** See the module. */
export class DeployState {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Opens the folder of a project, and creates it. Only this user may read it. */
  static async open(localDir: string, ref: string): Promise<DeployState> {
    const folder = join(localDir, "deploy", ref);
    // Not with the mode of the folder: another user may run the Postgres that lies beside it.
    await Deno.mkdir(localDir, { recursive: true });
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    return new DeployState(folder);
  }

  /** The file with the secret that was generated. */
  get secretsFile(): string {
    return join(this.folder, "secrets.env");
  }

  /** Reads what was deployed. An unreadable record counts as none. */
  async read(): Promise<z.output<typeof stateSchema>> {
    const parsed = stateSchema.safeParse(
      await readJson(join(this.folder, "state.json")),
    );
    return parsed.success ? parsed.data : {};
  }

  /** Adds to the record of what was deployed. */
  async write(change: z.output<typeof stateSchema>): Promise<void> {
    await replaceFile(
      join(this.folder, "state.json"),
      `${JSON.stringify({ ...await this.read(), ...change }, null, 2)}\n`,
    );
  }

  /** Reads the secret that was generated in an earlier run, if any. */
  async readSecrets(): Promise<Record<string, string>> {
    return readVariables(await readIfPresent(this.secretsFile) ?? "");
  }

  /** Keeps a generated secret, before it is sent. */
  async keepSecret(name: string, value: string): Promise<void> {
    await replaceFile(this.secretsFile, `${name}="${value}"\n`);
  }
}

/** Reads variables in the form of an env file, without those that are empty. */
export function readVariables(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(parseEnv(text))) {
    if (value) found[name] = value;
  }
  return found;
}

/** A file that is cut off in the middle would be worse than the old one. */
async function replaceFile(path: string, text: string): Promise<void> {
  const unfinished = `${path}.unfinished`;
  await Deno.writeTextFile(unfinished, text, { mode: 0o600 });
  await Deno.rename(unfinished, path);
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readIfPresent(path) ?? "");
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
