/**
 * The display of the report: lines on standard output, with a progress bar below them on a terminal.
 *
 * @module
 */

import { MultiBar, Presets } from "cli-progress";
import process from "node:process";

/** Progress of a run. */
export interface Position {
  done: number;
  total: number;
  messages: number;
}

/** Shows a report. */
export interface Display {
  line(text: string): void;
  /** Shows the progress. */
  progress(position: Position): void;
  /** Removes the bar. */
  clear(): void;
}

/**
 * Creates the display.
 *
 * @param isTerminal Whether standard output is a terminal. Only a terminal shows the bar.
 * @param write Prints to standard output.
 */
export function createDisplay(isTerminal: boolean, write: (text: string) => void): Display {
  const lines: Display = {
    line: (text) => write(`${text}\n`),
    progress: () => {},
    clear: () => {},
  };
  return isTerminal ? createBar(lines) : lines;
}

function createBar(lines: Display): Display {
  const open = () => {
    const bars = new MultiBar({
      format: "{bar} {value}/{total} conversations · {messages} messages · {eta_formatted} left",
      barsize: 24,
      stream: process.stdout,
      hideCursor: true,
      // Otherwise long lines above the bar are cut.
      linewrap: true,
      // The run handles Ctrl-C.
      gracefulExit: false,
      clearOnComplete: true,
    }, Presets.shades_classic);
    return { bars, bar: bars.create(0, 0, { messages: 0 }) };
  };
  let shown: ReturnType<typeof open> | undefined;
  return {
    line(text) {
      if (shown === undefined) lines.line(text);
      else shown.bars.log(`${text}\n`);
    },
    progress({ done, total, messages }) {
      if (total === 0) return;
      shown ??= open();
      shown.bar.setTotal(total);
      shown.bar.update(done, { messages });
    },
    clear() {
      if (shown === undefined) return;
      // Prints the lines that wait for the next redraw.
      shown.bars.update();
      shown.bars.stop();
      shown = undefined;
    },
  };
}
