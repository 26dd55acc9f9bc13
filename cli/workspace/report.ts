/**
 * How the commands print tables and sizes.
 *
 * @module
 */

import { print } from "../command.ts";

/** Prints rows: the name of a table, a number, and a remark. */
export function printTable(rows: readonly (readonly [string, number, string])[]): void {
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, count, remark] of rows) {
    print(`${name.padEnd(width)}  ${String(count).padStart(9)}  ${remark}`.trimEnd() + "\n");
  }
}

/** Writes a size for people. */
export function byteText(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
