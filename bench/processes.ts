/**
 * Processor time of the stack's processes, from `/proc`. Wall time on a busy machine says more about the other load than
 * about the program; processor time does not wait. Linux only.
 *
 * @module
 */

/** Whether this system says how much processor time a process has used. */
export const HAS_PROCESSOR_TIME = Deno.build.os === "linux";

/** Milliseconds of processor time, by the part of the stack that used them. */
export interface ProcessorTime {
  /** The server of the database and its sessions. */
  readonly postgres: number;
  /** The process of the stack: the gateway and the REST API. */
  readonly gateway: number;
  /** The processes of the functions, and of the peers that a case has started. */
  readonly functions: number;
}

/** What `/proc` says of a process. */
interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly program: string;
  /** Its own time. */
  readonly ms: number;
  /** The time of its children that have ended. */
  readonly endedMs: number;
}

const PARTS = ["postgres", "gateway", "functions"] as const;
let ticksPerSecond: number | undefined;

/** The processor time of one process, such as a session of the database, in milliseconds. */
export async function processorTime(pid: number): Promise<number> {
  const process = await readProcess(pid);
  if (process === undefined) throw new Error(`there is no process ${pid}`);
  return process.ms;
}

/**
 * The processor time of the stack and all processes below it, those that have ended included.
 *
 * @param peers Processes beside the stack that count as functions.
 */
export async function stackTime(
  stackPid: number,
  peers: readonly number[] = [],
): Promise<ProcessorTime> {
  const processes = await readProcesses();
  const time = { postgres: 0, gateway: 0, functions: 0 };
  const roots = [stackPid, ...peers];
  for (let next = processes.filter(({ pid }) => roots.includes(pid)); next.length > 0;) {
    for (const { pid, program, ms, endedMs } of next) {
      // The server runs below a shell that stops it with the stack.
      const isPostgres = program === "postgres" || program === "sh";
      time[pid === stackPid ? "gateway" : isPostgres ? "postgres" : "functions"] += ms + endedMs;
    }
    const parents = next.map(({ pid }) => pid);
    next = processes.filter(({ parent }) => parents.includes(parent));
  }
  return time;
}

/** Creates a measure for `takeTurnsBy`: the processor time of one session of the database, in milliseconds. */
export function sessionMeasure(pid: number) {
  return async (run: () => Promise<unknown>): Promise<number> => {
    const before = await processorTime(pid);
    await run();
    return await processorTime(pid) - before;
  };
}

/** Creates a measure for `takeTurnsBy`: the processor time of the stack and its peers, by part. */
export function stackMeasure(stackPid: number, peers: readonly number[] = []) {
  return async (run: () => Promise<unknown>): Promise<ProcessorTime> => {
    const before = await stackTime(stackPid, peers);
    await run();
    const after = await stackTime(stackPid, peers);
    return {
      postgres: after.postgres - before.postgres,
      gateway: after.gateway - before.gateway,
      functions: after.functions - before.functions,
    };
  };
}

/** The time of all parts. */
export function totalTime(time: ProcessorTime): number {
  return PARTS.reduce((sum, part) => sum + time[part], 0);
}

/** Finds the process of a function, a child of the stack. It has been called before. */
export async function findFunction(stackPid: number, name: string): Promise<number> {
  for (const { pid, parent } of await readProcesses()) {
    if (parent !== stackPid) continue;
    if ((await readCommand(pid)).some((part) => part.includes(`/functions/${name}/`))) return pid;
  }
  throw new Error(`${name} does not run`);
}

/** The address of a function in its own process, where the gateway forwards requests to. */
export async function findFunctionAddress(stackPid: number, name: string): Promise<string> {
  const command = await readCommand(await findFunction(stackPid, name));
  return `http://127.0.0.1:${command.at(-1)}/${name}`;
}

async function readCommand(pid: number): Promise<string[]> {
  const text = await Deno.readTextFile(`/proc/${pid}/cmdline`).catch(() => "");
  return text.split("\0").filter((part) => part !== "");
}

async function readProcesses(): Promise<Process[]> {
  const pids = [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter(Boolean);
  const processes = await Promise.all(pids.map(readProcess));
  return processes.filter((process) => process !== undefined);
}

async function readProcess(pid: number): Promise<Process | undefined> {
  ticksPerSecond ??= await readTicksPerSecond();
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  // The name is in parentheses and may itself contain parentheses.
  const match = /^\d+ \((.*)\) (.*)$/s.exec(stat);
  if (!match) return undefined;
  const fields = match[2]!.split(" ").map(Number);
  const [user, system, endedUser, endedSystem] = fields.slice(11, 15) as [
    number,
    number,
    number,
    number,
  ];
  const msPerTick = 1000 / ticksPerSecond;
  return {
    pid,
    parent: fields[1]!,
    program: match[1]!,
    ms: (user + system) * msPerTick,
    endedMs: (endedUser + endedSystem) * msPerTick,
  };
}

async function readTicksPerSecond(): Promise<number> {
  const { stdout } = await new Deno.Command("getconf", { args: ["CLK_TCK"] }).output();
  return Number(new TextDecoder().decode(stdout));
}
