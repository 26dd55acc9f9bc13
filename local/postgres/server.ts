/**
 * Runs the Postgres server on an existing cluster, restarts it after a crash, and stops it. The server also
 * stops when this process is killed.
 *
 * @module
 */

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { CommandError } from "../../cli/command_error.ts";
import { forEachLine, logFrom, logInfo, logWarning } from "../log.ts";
import { isPortTaken, LOOPBACK } from "../ports.ts";
import type { PostgresBinaries } from "./binaries.ts";
import type { PostgresUser } from "./os_user.ts";
import { commandLine, sendSignal } from "../processes.ts";

/** What `PostgresServer.start` needs. */
export interface PostgresServerOptions {
  readonly binaries: PostgresBinaries;
  readonly dataDir: string;
  readonly user: PostgresUser;
  readonly port: number;
  /** Do not wait for the disk. Right for data that is removed at the end. */
  readonly isThrowaway?: boolean;
  /** Called when a server that was ready has lost its sessions or has died. */
  readonly onLost?: () => void;
  /** Called when the server is ready again after that. */
  readonly onRestart?: () => void;
  /** More settings of the server. */
  readonly settings?: Readonly<Record<string, string>>;
  /** A folder to remove after the server has stopped, for any reason. */
  readonly removeWhenStopped?: string;
}

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 8_000;
const RESTART_DELAY_MS = { first: 50, last: 5_000 };

/**
 * The shell between this process and the server. When its input ends, because the stack stops or has
 * been killed, it stops the server and waits for it. Arguments: the signal to stop with, a folder to
 * remove afterwards or nothing, the command.
 *
 * `read` is used and not `cat`, since a program would outlive the subshell it was started from.
 */
const GUARD = `
signal=$1 folder=$2; shift 2
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
asked=
trap 'asked=1; kill -s "$signal" "$server"' USR1
( while read -r _; do :; done <&3; kill -s USR1 $$ ) >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait "$server"; status=$?
while kill -s 0 "$server" 2>/dev/null; do wait "$server"; status=$?; done
kill "$watcher" 2>/dev/null
if [ -n "$asked" ] && [ -n "$folder" ]; then rm -rf -- "$folder"; fi
exit "$status"
`;

/** One running server. */
export class PostgresServer {
  readonly #options: PostgresServerOptions;
  #guard: Deno.ChildProcess | undefined;
  #isReady = false;
  #wasReady = false;
  #isStopping = false;
  #supervision: Promise<void> = Promise.resolve();

  private constructor(options: PostgresServerOptions) {
    this.#options = options;
  }

  /**
   * Starts the server and resolves when it accepts connections.
   *
   * @throws {CommandError} with the output of the server if it does not start.
   */
  static async start(options: PostgresServerOptions): Promise<PostgresServer> {
    const server = new PostgresServer(options);
    await stopOrphan(options.dataDir);
    if (isPortTaken(options.port)) {
      throw new CommandError(
        `Port ${options.port} for the database is taken by another program. Stop that program, or ` +
          `choose another port: [db] port in supabase/config.toml.`,
      );
    }
    const { exited } = await server.#spawn();
    server.#supervision = server.#supervise(exited);
    return server;
  }

  /** Stops the server, and resolves when it has gone. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const guard = this.#guard;
    if (guard) {
      await guard.stdin.close().catch(() => {});
      const timer = setTimeout(() => this.#stopAtOnce(), STOP_TIMEOUT_MS);
      await guard.status;
      clearTimeout(timer);
    }
    await this.#supervision;
  }

  /** Ends every session at once; the server recovers from its log at the next start. */
  #stopAtOnce(): void {
    const pid = readPostmasterPid(this.#options.dataDir);
    if (pid !== undefined) sendSignal(pid, "SIGQUIT");
  }

  /** Resolves when the server is ready. */
  async #spawn(): Promise<{ exited: Promise<void> }> {
    const { binaries, dataDir, user, port, isThrowaway, removeWhenStopped } = this.#options;
    const settings: Record<string, string> = {
      port: `${port}`,
      listen_addresses: LOOPBACK,
      unix_socket_directories: "",
      timezone: "UTC",
      log_timezone: "UTC",
      // Failed statements are reported to their sender. In the log they could show texts of customers.
      log_min_messages: "log",
      log_min_error_statement: "panic",
      // The line that this module waits for must be in English.
      lc_messages: "C",
      ...(isThrowaway ? { fsync: "off", synchronous_commit: "off", full_page_writes: "off" } : {}),
      ...this.#options.settings,
    };
    const guard = new Deno.Command("/bin/sh", {
      args: [
        "-c",
        GUARD,
        "postgres-guard",
        isThrowaway ? "QUIT" : "INT",
        removeWhenStopped ?? "",
        binaries.postgres,
        "-D",
        dataDir,
        ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
      ],
      ...user,
      cwd: dataDir,
      // Otherwise Ctrl-C reaches the server at the same time as the stack, which takes it for a crash.
      detached: true,
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#guard = guard;

    const said: string[] = [];
    const { promise: ready, resolve } = Promise.withResolvers<true>();
    const output = forEachLine(guard.stderr, (line) => {
      if (line.includes("database system is ready to accept connections")) {
        resolve(true);
        this.#setReady(true);
      }
      // One session crashed, and the server ends all others before it continues.
      if (line.includes("terminating any other active server processes")) this.#setReady(false);
      if (/ PANIC: /.test(line)) logFrom("postgres", line);
      said.push(line);
      if (said.length > 50) said.shift();
    });
    const exited = guard.status.then(async () => {
      this.#setReady(false);
      await output;
    });
    const timer = setTimeout(() => this.#stopAtOnce(), START_TIMEOUT_MS);
    const started = await Promise.race([ready, exited]);
    clearTimeout(timer);
    if (started === true) return { exited };
    throw new CommandError(
      `Postgres did not start on ${LOOPBACK}:${port} with the data in ${dataDir}. Its output:\n` +
        said.join("\n"),
    );
  }

  #setReady(isReady: boolean): void {
    if (isReady === this.#isReady || this.#isStopping) return;
    this.#isReady = isReady;
    if (!isReady) {
      logWarning("Postgres has crashed and is restarted");
      this.#options.onLost?.();
    } else if (this.#wasReady) {
      logInfo("Postgres is running again");
      this.#options.onRestart?.();
    }
    this.#wasReady = true;
  }

  async #supervise(exited: Promise<void>): Promise<void> {
    let current = exited;
    while (true) {
      await current;
      let wait = RESTART_DELAY_MS.first;
      while (true) {
        if (this.#isStopping) return;
        await delay(wait);
        if (this.#isStopping) return;
        try {
          // Sessions of the dead server may live for a moment, and prevent the start of a new one.
          current = (await this.#spawn()).exited;
          break;
        } catch (error) {
          if (this.#isStopping) return;
          if (wait === RESTART_DELAY_MS.last) logWarning(String(error));
          wait = Math.min(wait * 2, RESTART_DELAY_MS.last);
        }
      }
    }
  }
}

/**
 * Stops a server that a killed stack left on the data. Only the holder of the stack's lock may call it, because
 * then the server cannot belong to a running stack.
 */
async function stopOrphan(dataDir: string): Promise<void> {
  const pid = readPostmasterPid(dataDir);
  if (pid === undefined) return;
  if (!await isServerOf(pid, dataDir)) {
    // The computer restarted and the number now belongs to another program. Postgres would take it for an earlier
    // server and refuse to start.
    await Deno.remove(join(dataDir, "postmaster.pid")).catch(() => {});
    return;
  }
  logWarning(`stopping the Postgres (process ${pid}) of an earlier run`);
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    sendSignal(pid, signal);
    const deadline = Date.now() + STOP_TIMEOUT_MS;
    while (Date.now() < deadline) {
      if (!await isServerOf(pid, dataDir)) return;
      await delay(20);
    }
  }
  throw new CommandError(
    `The Postgres with process number ${pid} on ${dataDir} cannot be stopped.`,
  );
}

/** The process number in `postmaster.pid`, if there is such a file. */
function readPostmasterPid(dataDir: string): number | undefined {
  try {
    const [first] = Deno.readTextFileSync(join(dataDir, "postmaster.pid")).split("\n");
    const pid = Number(first);
    return Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Says whether a process is alive and is a Postgres that was started on this data. */
async function isServerOf(pid: number, dataDir: string): Promise<boolean> {
  const [program = "", ...args] = await commandLine(pid);
  return program.endsWith("postgres") && args.includes(dataDir);
}
