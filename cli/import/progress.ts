/**
 * Shows the progress of a command: a bar on a terminal, otherwise a line from time to time.
 *
 * @module
 */

import { Presets, SingleBar } from "cli-progress";

/** Where a command reports to. */
export interface Progress {
  start(total: number): void;
  advance(count: number): void;
  /** Prints a line without disturbing the bar. */
  note(line: string): void;
  stop(): void;
}

/** How often {@linkcode createProgress} prints a line without a terminal. */
const LINE_INTERVAL_MS = 2_000;

/**
 * Creates the display for standard error; standard output is for the result.
 *
 * @param isTerminal Whether standard error is a terminal.
 * @param write Prints to standard error.
 * @param unit What it counts.
 * @returns The display.
 */
export function createProgress(
  isTerminal: boolean,
  write: (text: string) => void,
  unit = "messages",
): Progress {
  return isTerminal ? createBar(write, unit) : createLines(write, unit);
}

function createBar(write: (text: string) => void, unit: string): Progress {
  const bar = new SingleBar({
    format: `{bar} {percentage}% · {value}/{total} ${unit} · {eta_formatted} left`,
    hideCursor: true,
    gracefulExit: false,
    clearOnComplete: true,
  }, Presets.shades_classic);
  let total = 0;
  let done = 0;
  return {
    start: (count) => {
      total = count;
      bar.start(total, done);
    },
    advance: (count) => {
      done += count;
      bar.update(done);
    },
    note: (line) => {
      bar.stop();
      write(`${line}\n`);
      bar.start(total, done);
    },
    stop: () => bar.stop(),
  };
}

function createLines(write: (text: string) => void, unit: string): Progress {
  let total = 0;
  let done = 0;
  let printedAt = 0;
  let printed = -1;
  const print = () => {
    if (printed === done) return;
    printed = done;
    printedAt = performance.now();
    write(`${done}/${total} ${unit}\n`);
  };
  return {
    start: (count) => {
      total = count;
      printedAt = performance.now();
    },
    advance: (count) => {
      done += count;
      if (performance.now() - printedAt >= LINE_INTERVAL_MS) print();
    },
    note: (line) => write(`${line}\n`),
    stop: print,
  };
}
