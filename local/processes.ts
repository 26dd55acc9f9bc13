/**
 * Reads the state of other processes: from `/proc` if the system has it, otherwise with `ps`.
 *
 * @module
 */

/** The state of a process. */
export interface ProcessStatus {
  readonly parent: number;
  readonly group: number;
  /** Name of the program, without its folder. */
  readonly program: string;
}

/** Returns the state of a process, or undefined if there is none. */
export async function processStatus(pid: number): Promise<ProcessStatus | undefined> {
  if (Deno.build.os === "linux") {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
    // The name is in parentheses and may itself contain parentheses.
    const match = /^[0-9]+ \((.*)\) (\S) ([0-9]+) ([0-9]+) /s.exec(stat);
    if (!match || match[2] === "Z") return undefined;
    return { program: match[1]!, parent: Number(match[3]), group: Number(match[4]) };
  }
  const match = /^\s*([0-9]+)\s+([0-9]+)\s+(.*)$/.exec(await ps("ppid=,pgid=,comm=", pid));
  if (!match) return undefined;
  return {
    parent: Number(match[1]),
    group: Number(match[2]),
    program: match[3]!.split("/").at(-1)!,
  };
}

/** Returns the command line of a process, or undefined if there is none. */
export async function commandLine(pid: number): Promise<string[]> {
  const text = Deno.build.os === "linux"
    ? (await Deno.readTextFile(`/proc/${pid}/cmdline`).catch(() => "")).replaceAll("\0", "\n")
    : (await ps("args=", pid)).replaceAll(" ", "\n");
  return text.split("\n").filter((part) => part !== "");
}

/** Sends a signal to a process that may have ended. */
export function sendSignal(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch { /* It has gone already. */ }
}

async function ps(columns: string, pid: number): Promise<string> {
  const { stdout } = await new Deno.Command("ps", { args: ["-o", columns, "-p", `${pid}`] })
    .output();
  return new TextDecoder().decode(stdout).trim();
}
