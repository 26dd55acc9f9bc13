/**
 * Two projects for the tests of moving a workspace, and the commands as an operator runs them.
 *
 * @module
 */

import { join } from "node:path";
import type postgres from "postgres";
import { startStack } from "../../local/spawn_stack.ts";
import type { StackInfo } from "../../local/stack.ts";
import { connect } from "./database.ts";
import { ROLES, type Workspace } from "./people.ts";

const ROOT = join(import.meta.dirname!, "../..");

/** One project. */
export interface Side {
  readonly info: StackInfo;
  readonly sql: postgres.Sql;
}

/** What a command printed, and its exit code. */
export interface Printed {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running command. */
export interface Running {
  kill(): Promise<void>;
  readonly printed: Promise<Printed>;
}

/** Two projects. */
export class TwoProjects implements AsyncDisposable {
  private constructor(
    readonly source: Side,
    readonly target: Side,
    private readonly cleanup: AsyncDisposableStack,
    /** CREDENTIALS_KEY of both. */
    readonly keys: { readonly source: string; readonly target: string },
  ) {}

  static async start(): Promise<TwoProjects> {
    await using cleanup = new AsyncDisposableStack();
    const side = async (): Promise<Side> => {
      const stack = cleanup.use(await startStack());
      const sql = connect(stack.info.db_url);
      cleanup.defer(() => sql.end());
      return { info: stack.info, sql };
    };
    const [source, target] = [await side(), await side()];
    const keys = { source: btoa("s".repeat(32)), target: btoa("t".repeat(32)) };
    return new TwoProjects(source, target, cleanup.move(), keys);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cleanup.disposeAsync();
  }

  /** Starts `deno task workspace:export` or `workspace:import`. */
  begin(
    command: "export" | "import",
    args: readonly string[],
    env: Record<string, string> = {},
  ): Running {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-check", `cli/workspace/${command}.ts`, ...args],
      cwd: ROOT,
      env: {
        SOURCE_DATABASE_URL: this.source.info.db_url,
        TARGET_DATABASE_URL: this.target.info.db_url,
        SOURCE_CREDENTIALS_KEY: this.keys.source,
        TARGET_CREDENTIALS_KEY: this.keys.target,
        ...env,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const printed = child.output().then(({ code, stdout, stderr }) => ({
      code,
      stdout: new TextDecoder().decode(stdout),
      stderr: new TextDecoder().decode(stderr),
    }));
    return {
      printed,
      async kill() {
        child.kill("SIGKILL");
        await printed;
      },
    };
  }

  /** Runs it to its end. */
  run(
    command: "export" | "import",
    args: readonly string[],
    env: Record<string, string> = {},
  ): Promise<Printed> {
    return this.begin(command, args, env).printed;
  }

  /** Signs the members of a workspace up in the target, where they get other ids. */
  async inviteMembers(workspace: Workspace): Promise<Record<string, string>> {
    const ids: Record<string, string> = {};
    for (const role of ROLES) {
      const [user] = await this.source.sql`select email from auth.users where id = ${
        workspace[role]
      }`;
      ids[role] = crypto.randomUUID();
      await this.target.sql`
        insert into auth.users (id, email) values (${ids[role]!}, ${user!.email})`;
    }
    return ids;
  }
}
