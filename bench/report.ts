/**
 * Figures, the table that shows them, and the file that keeps them.
 *
 * @module
 */

/** The limit for a figure, at least or at most. */
export type Target = `≤ ${number}` | `≥ ${number}`;

/** One measurement. */
export interface Figure {
  /** Stable: `append.ingest.ratio`. */
  readonly name: string;
  /** The description for people. */
  readonly title: string;
  readonly value: number;
  readonly unit: string;
  readonly target: Target | null;
  /** Whether the target is reached; null without a target. */
  readonly ok: boolean | null;
}

/** Creates a figure. */
export function figure(
  name: string,
  title: string,
  value: number,
  unit: string,
  target: Target | null = null,
): Figure {
  // Judged as it is shown, so that the table never says "0.50, at least 0.5: no".
  const rounded = Number(value.toPrecision(3));
  return { name, title, value: rounded, unit, target, ok: target && isReached(rounded, target) };
}

function isReached(value: number, target: Target): boolean {
  const limit = Number(target.slice(2));
  return target.startsWith("≤") ? value <= limit : value >= limit;
}

/** Formats the figures as a table. */
export function formatTable(figures: readonly Figure[]): string {
  const rows = [
    ["", "", "", "target", ""],
    ...figures.map(({ title, value, unit, target, ok }) => [
      title,
      value.toLocaleString("en", { maximumSignificantDigits: 3 }),
      unit,
      target ?? "",
      ok === null ? "" : ok ? "ok" : "MISSED",
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, column) =>
      column === 1 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)
    ).join("  ").trimEnd()
  ).join("\n");
}

/** The machine and the versions of a run. */
export interface Environment {
  readonly date: string;
  readonly machine: { cpu: string; cores: number; memory_gb: number; os: string };
  readonly versions: Record<string, string>;
  readonly settings: Record<string, unknown>;
}

/** Writes `results.json`. */
export async function writeResults(
  file: URL,
  environment: Environment,
  figures: readonly Figure[],
): Promise<void> {
  await Deno.writeTextFile(file, JSON.stringify({ ...environment, figures }, null, 2) + "\n");
}
