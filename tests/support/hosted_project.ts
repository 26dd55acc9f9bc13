/**
 * An empty hosted project for tests of the deployment: a stack without migrations and functions, and a fake of the
 * Management API that puts what it gets into that stack.
 *
 * @module
 */

import { cp } from "node:fs/promises";
import { basename, join } from "node:path";
import {
  type FakeManagementApi,
  startFakeManagementApi,
} from "../../fakes/management_api/fake_management_api.ts";
import { asRole, SUPERUSER } from "../../local/postgres/roles.ts";
import { findFreePort } from "../../local/ports.ts";
import { type Stack, startStack } from "../../local/spawn_stack.ts";

const ROOT = join(import.meta.dirname!, "../..");

/** The ref of the project, and the token that opens it. */
export const REF = "abcdefghijklmnopqrst";
const TOKEN = `sbp_${"0123456789abcdef".repeat(2)}01234567`;

/** What a run of a command line tool gave. */
export interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

/** See the module. */
export class HostedProject implements AsyncDisposable {
  readonly #cleanup: AsyncDisposableStack;

  private constructor(
    /** A copy of this checkout, which deployments are made from. */
    readonly checkout: string,
    readonly stack: Stack,
    readonly api: FakeManagementApi,
    cleanup: AsyncDisposableStack,
  ) {
    this.#cleanup = cleanup;
  }

  static async start(): Promise<HostedProject> {
    await using cleanup = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir({ prefix: "hosted-" });
    cleanup.defer(() => Deno.remove(folder, { recursive: true }));
    // Postgres may run as another user than the one who runs the tests.
    await Deno.chmod(folder, 0o755);
    await Deno.mkdir(join(folder, "supabase/functions"), { recursive: true });
    // The platform keeps the settings of functions that the CLI sends with them; the stack reads them here.
    const config = (await Deno.readTextFile(join(ROOT, "supabase/config.toml")))
      .replace("port = 54322", `port = ${findFreePort()}`)
      .replace(/\[db\.seed\]\nenabled = true/u, "[db.seed]\nenabled = false");
    await Deno.writeTextFile(join(folder, "supabase/config.toml"), config);
    const stack = cleanup.use(
      await startStack({ workdir: folder, watch: true }),
    );
    const api = cleanup.use(
      await startFakeManagementApi({
        ref: REF,
        token: TOKEN,
        keys: { publishable: stack.info.publishable_key, secret: stack.info.secret_key },
        database: {
          ownerUrl: stack.info.db_url,
          adminUrl: asRole(stack.info.db_url, SUPERUSER),
        },
        folder,
      }),
    );
    const checkout = await copyCheckout();
    cleanup.defer(() => Deno.remove(checkout, { recursive: true }));
    return new HostedProject(checkout, stack, api, cleanup.move());
  }

  /** Runs `deno task deploy` or `deno task doctor` for the project. */
  async run(tool: "deploy" | "doctor", args: string[] = [], env = {}): Promise<Run> {
    const { code, stdout, stderr } = await this.command(tool, args, env).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /** The same, not started. */
  command(tool: "deploy" | "doctor", args: string[] = [], env = {}): Deno.Command {
    return new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        join(ROOT, "cli", tool, "main.ts"),
        "--project-ref",
        REF,
        ...(tool === "deploy" ? ["--workdir", this.checkout] : []),
        ...args,
      ],
      env: {
        SUPABASE_ACCESS_TOKEN: TOKEN,
        SUPABASE_API_URL: this.api.url,
        SUPABASE_URL: this.stack.info.api_url,
        NO_COLOR: "1",
        ...env,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      // A process group of its own, to kill it with all it has started.
      detached: true,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }
}

/** Copies what a deployment reads and writes, so that a test leaves no trace in the checkout. Builds of the app are shared. */
async function copyCheckout(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "checkout-" });
  await Deno.copyFile(join(ROOT, "import_map.json"), join(folder, "import_map.json"));
  for (const path of ["config.toml", "migrations", "functions"]) {
    await cp(join(ROOT, "supabase", path), join(folder, "supabase", path), {
      recursive: true,
      filter: (source) => basename(source) !== ".env",
    });
  }
  await Deno.symlink(join(ROOT, "app"), join(folder, "app"));
  await Deno.mkdir(join(folder, ".local"), { mode: 0o755 });
  await Deno.mkdir(join(ROOT, ".local/app"), { recursive: true });
  await Deno.symlink(join(ROOT, ".local/app"), join(folder, ".local/app"));
  return folder;
}
