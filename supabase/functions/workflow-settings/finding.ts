/**
 * The result of comparing a setting with Kapso.
 *
 * @module
 */
import type { WorkflowFinding } from "../_shared/contracts/workflow_settings.ts";
import type { ManagedValues } from "../_shared/contracts/workflow_values.ts";
import type { WorkflowGraph } from "./definition.ts";
import type { ManagedField, Model } from "./managed_fields.ts";
import { type Setting, toWire } from "./setting.ts";

/** A workflow at Kapso, read and compared. */
export interface ReadWorkflow {
  graph: WorkflowGraph;
  fields: readonly ManagedField[];
  /** A model for each name that is to be written. */
  models: ReadonlyMap<string, Model>;
}

/** The result of comparing a setting with Kapso: what callers see, and what only the function uses. */
export interface Finding extends Omit<WorkflowFinding, "is_dry_run" | "setting"> {
  /** The managed values at Kapso, once they equal the setting's. */
  values: ManagedValues | undefined;
  lockVersion: number | undefined;
  /** Undefined where the workflow or its definition could not be read. */
  workflow: ReadWorkflow | undefined;
}

/** A finding as callers see it, with the setting after it was recorded. */
export function toAnswer(finding: Finding, isDryRun: boolean, setting: Setting): WorkflowFinding {
  const { values: _, lockVersion: __, workflow: ___, ...shown } = finding;
  return { ...shown, is_dry_run: isDryRun, setting: toWire(setting) };
}

/** A text of Kapso; null for anything else. */
export function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
