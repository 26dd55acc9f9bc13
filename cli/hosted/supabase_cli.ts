/**
 * Runs the Supabase CLI against a hosted project.
 *
 * @module
 */

import { join } from "node:path";
import { SUPABASE_CLI } from "../../local/supabase_cli.ts";
import { CommandError } from "../command_error.ts";
import type { ManagementApi } from "./management_api.ts";

/** How much of the CLI's output an error repeats. */
const MAX_LINES = 15;

/** The Supabase CLI in the folder of this project. */
export class SupabaseCli {
  readonly #api: ManagementApi;
  readonly #workdir: string;
  readonly #stateDir: string;

  /**
   * @param workdir The folder that holds `supabase/`.
   * @param stateDir Where to put a profile of the CLI, if the API is not that of supabase.com.
   */
  constructor(api: ManagementApi, workdir: string, stateDir: string) {
    this.#api = api;
    this.#workdir = workdir;
    this.#stateDir = stateDir;
  }

  /**
   * Runs a command of the CLI.
   *
   * @param env More environment. Secrets belong here, because everybody on the machine can read the arguments.
   * @throws {CommandError} with the end of its output when it fails.
   */
  async run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<void> {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...SUPABASE_CLI.args,
        ...args,
        "--workdir",
        this.#workdir,
        ...await this.#profile(),
      ],
      // The lock file of this program covers the CLI too.
      cwd: import.meta.dirname!,
      env: { ...SUPABASE_CLI.env, SUPABASE_ACCESS_TOKEN: this.#api.token, ...env },
      stdin: "null",
    }).output();
    if (code === 0) return;
    const decoder = new TextDecoder();
    const lines = `${decoder.decode(stdout)}\n${decoder.decode(stderr)}`.split("\n")
      .filter((line) => line.trim() !== "");
    throw new CommandError(
      `supabase ${args.slice(0, 2).join(" ")} failed:\n${
        lines.slice(-MAX_LINES).map((line) => `  ${line}`).join("\n")
      }`,
    );
  }

  /** The CLI reads the address of another API from a profile. */
  async #profile(): Promise<string[]> {
    const { url } = this.#api;
    if (url === "https://api.supabase.com") return [];
    const file = join(this.#stateDir, "profile.yaml");
    const host = new URL(url).hostname;
    const profile = { name: "other", api_url: url, dashboard_url: url, project_host: host };
    // JSON is YAML.
    await Deno.writeTextFile(file, JSON.stringify(profile));
    return ["--profile", file];
  }
}
