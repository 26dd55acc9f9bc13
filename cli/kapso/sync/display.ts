/**
 * Where the report is shown: lines on standard output, with a bar below them on a terminal.
 *
 * @module
 */

import { MultiBar, Presets } from "cli-progress";
import process from "node:process";

/** How far a run is. */
export interface Position {
  done: number;
  total: number;
  messages: number;
}

/** Shows a report. */
export interface Display {
  line(text: string): void;
  /** Shows how far it is. */
  progress(position: Position): void;
  /** Takes the bar away. */
  clear(): void;
}

/**
 * Makes the display.
 *
 * @param isTerminal Whether standard output is a terminal; else there is no bar.
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
      // Or long lines above the bar would be cut.
      linewrap: true,
      // Ctrl-C is for the run.
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
      // Lines that wait for the next redrawing would be lost.
      shown.bars.update();
      shown.bars.stop();
      shown = undefined;
    },
  };
}
