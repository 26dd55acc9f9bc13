/**
 * The steps of a deployment. Each looks first and changes only what differs, so that a second run changes nothing
 * and a run that was cut off is repeated.
 *
 * @module
 */

import { CommandError } from "../command_error.ts";

/** What a step found. */
export type Finding =
  | { readonly kind: "done"; readonly text: string }
  | { readonly kind: "change"; readonly text: string; readonly apply: () => Promise<void> };

/** One part of a deployment. */
export interface Step {
  readonly name: string;
  /** Compares the project with this checkout. Changes nothing. */
  look(): Promise<Finding>;
}

/** What {@linkcode runSteps} did. */
export interface StepCounts {
  /** Steps that found nothing to do. */
  done: number;
  /** Steps that changed something, or would. */
  changed: number;
}

/**
 * Runs the steps in order, and says what each does.
 *
 * @throws {CommandError} of the step that failed, with its number and that the command may be repeated.
 */
export async function runSteps(
  steps: readonly Step[],
  options: { isDryRun: boolean; print: (line: string) => void },
): Promise<StepCounts> {
  const { isDryRun, print } = options;
  const width = Math.max(...steps.map(({ name }) => name.length));
  const counts = { done: 0, changed: 0 };
  for (const [index, step] of steps.entries()) {
    const line = (sign: string, text: string) =>
      print(`${sign} ${step.name.padEnd(width)}  ${text}`);
    try {
      const finding = await step.look();
      if (finding.kind === "done") {
        counts.done++;
        line("✓", finding.text);
        continue;
      }
      counts.changed++;
      line("→", finding.text);
      if (isDryRun) continue;
      await finding.apply();
      line("✓", "Done.");
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      const hint = error.exitCode === 2 || isDryRun
        ? ""
        : "\nThe steps before it are done. Run the same command again to continue here.";
      throw new CommandError(
        `Step ${index + 1} of ${steps.length}, ${step.name}: ${error.message}${hint}`,
        { cause: error, exitCode: error.exitCode },
      );
    }
  }
  return counts;
}
