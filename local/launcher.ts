/**
 * Notices when the program that started the stack has ended. `npx deno task start` is a chain of processes: npm,
 * a shell, `deno task`, the stack. A signal to the first ends the shell, which does not forward it; the stack
 * would keep running unnoticed, and keep its ports.
 *
 * @module
 */

import { processStatus } from "./processes.ts";

const POLL_MS = 500;
/** Programs that wait for the programs they start. Node calls itself MainThread on some systems. */
const LAUNCHER = /^(deno|node|MainThread|np[mx]\b.*)$/;
const NPM = /^np[mx]\b/;

/**
 * Calls `onLost` when one of the programs between the stack and its caller has ended. A stack that is
 * started from a shell, or in a process group of its own, has no launcher and needs none.
 */
export async function watchLauncher(onLost: () => void): Promise<void> {
  const row = await findRow();
  if (row.length === 0) return;
  const timer = setInterval(async () => {
    for (const { pid, parent } of row) {
      if ((await processStatus(pid))?.parent === parent) continue;
      clearInterval(timer);
      onLost();
      return;
    }
  }, POLL_MS);
}

/** The processes between the stack and the topmost launcher. */
async function findRow(): Promise<{ pid: number; parent: number }[]> {
  const row = [];
  const self = await processStatus(Deno.pid);
  let pid = Deno.pid;
  for (let status = self; status && status.group === self?.group;) {
    const above = await processStatus(status.parent);
    if (!above || above.group !== status.group) break;
    // A shell may leave programs running in the background on purpose; the shell of npm does not.
    const isNpmShell = NPM.test((await processStatus(above.parent))?.program ?? "");
    if (!LAUNCHER.test(above.program) && !isNpmShell) break;
    row.push({ pid, parent: status.parent });
    pid = status.parent;
    status = above;
  }
  return row;
}
