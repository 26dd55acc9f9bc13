/**
 * Compares settings with Kapso and writes them there.
 *
 * A sync overwrites only values at Kapso that are known here: the last synced ones, or those that a person
 * has seen and names by their fingerprint. Everything else is a conflict.
 *
 * @module
 */
import * as z from "zod";
import type { FieldChange, WorkflowProblem } from "../_shared/contracts/workflow_settings.ts";
import { KapsoError, type Row } from "../_shared/kapso/api/client.ts";
import { compare, fingerprintOf } from "./comparison.ts";
import { editDefinition, readGraph } from "./definition.ts";
import { type Finding, type ReadWorkflow, textOrNull } from "./finding.ts";
import type { Connect, KapsoWorkflows } from "./kapso.ts";
import { editsOf, findManagedFields, valuesAtKapso } from "./managed_fields.ts";
import { writeManual } from "./manual.ts";
import { resolveModels } from "./models.ts";
import type { Setting } from "./setting.ts";

/** How to sync. */
export interface SyncOptions {
  isDryRun: boolean;
  /** The fingerprint of the values at Kapso that a person has seen and wants to overwrite. */
  overwrite: string | undefined;
}

/** For all calls to Kapso of one request: less than the platform gives a request. */
const TIMEOUT_MS = 45_000;
/** For reading the workflow after a write. */
const READ_BACK_TIMEOUT_MS = 15_000;

/** Compares a setting with Kapso, writing nothing. */
export async function checkSetting(connect: Connect, setting: Setting): Promise<Finding> {
  return await withKapso(connect, setting, async (kapso, id, signal) => {
    return judge(setting, await readView(kapso, id, setting, signal));
  });
}

/** Writes a setting to Kapso, unless that would overwrite a change made there. */
export async function syncSetting(
  connect: Connect,
  setting: Setting,
  { isDryRun, overwrite }: SyncOptions,
): Promise<Finding> {
  return await withKapso(connect, setting, async (kapso, id, signal) => {
    const view = await readView(kapso, id, setting, signal);
    const finding = judge(setting, view);
    const isAllowed = finding.outcome === "pending" ||
      (finding.outcome === "conflict" && overwrite === view.fingerprint);
    if (isDryRun || !isAllowed || !view.workflow) return finding;

    // As late as possible: Kapso may not compare lock_version itself everywhere.
    const now = await kapso.getWorkflow(id, { signal });
    if (now.lock_version !== view.row.lock_version) {
      return changedMeanwhile(setting, await readView(kapso, id, setting, signal));
    }
    const { graph, fields, models } = view.workflow;
    const definition = editDefinition(graph, editsOf(fields, models));
    const lock = JSON.stringify(view.row.lock_version ?? null);
    let failure: KapsoError | undefined;
    try {
      await kapso.updateWorkflow(id, `{"lock_version":${lock},"definition":${definition}}`, {
        signal,
      });
    } catch (error) {
      if (!(error instanceof KapsoError)) throw error;
      if (error.status !== 409 && !error.isAmbiguous) throw error;
      failure = error;
    }
    const after = await readView(kapso, id, setting, AbortSignal.timeout(READ_BACK_TIMEOUT_MS));
    const result = judge(setting, after);
    if (result.outcome === "synced") return { ...result, message: "Kapso has these values now." };
    if (failure?.status === 409) return changedMeanwhile(setting, after);
    if (failure !== undefined) throw failure;
    return asConflict(
      result,
      "Kapso accepted the values but has others now: the workflow was saved again at Kapso, or Kapso stores them differently. Compare both sides.",
    );
  });
}

const int32 = z.int32();

/** A workflow at Kapso as it was read, compared with a setting. */
interface View {
  row: Row;
  /** Undefined where the definition has an unknown shape. */
  workflow: ReadWorkflow | undefined;
  problems: WorkflowProblem[];
  changes: FieldChange[];
  fingerprint: string | null;
}

async function readView(
  kapso: KapsoWorkflows,
  id: string,
  setting: Setting,
  signal: AbortSignal,
): Promise<View> {
  // The version first: Kapso then refuses a write whose graph is newer than its version.
  const row = await kapso.getWorkflow(id, { signal });
  const graph = readGraph(await kapso.getWorkflowDefinitionText(id, { signal }));
  if (!graph) {
    const problem = {
      code: "unreadable_definition",
      node_id: null,
      message:
        "Kapso's definition of the workflow has an unknown shape, or two nodes with the same id",
    };
    return { row, workflow: undefined, problems: [problem], changes: [], fingerprint: null };
  }
  const { fields, problems } = findManagedFields(graph, setting);
  const resolved = await resolveModels(kapso, graph, fields, signal);
  return {
    row,
    workflow: { graph, fields, models: resolved.models },
    problems: [...problems, ...resolved.problems],
    changes: compare(fields, setting.synced_values),
    fingerprint: await fingerprintOf(id, fields),
  };
}

function judge(setting: Setting, view: View): Finding {
  const { changes, problems, workflow, fingerprint } = view;
  const read = describeRow(setting, view);
  if (problems.length > 0) {
    return {
      ...read,
      outcome: "manual_setup_required",
      reason: "workflow_does_not_fit",
      message: "The workflow at Kapso does not fit these settings. Change it manually.",
      changes,
      problems,
      fingerprint,
      manual: writeManual(setting, workflow, problems),
    };
  }
  if (changes.length === 0) {
    return {
      ...read,
      outcome: "synced",
      reason: null,
      message: "Kapso has these values.",
      changes,
      problems,
      fingerprint,
      manual: null,
      values: valuesAtKapso(workflow?.fields ?? []),
    };
  }
  const isConflict = changes.some((change) => change.is_conflict);
  return {
    ...read,
    outcome: isConflict ? "conflict" : "pending",
    reason: isConflict ? "changed_at_kapso" : null,
    message: isConflict
      ? "The workflow was changed at Kapso. Choose which values to keep."
      : "Kapso does not have these values yet.",
    changes,
    problems,
    fingerprint,
    manual: null,
  };
}

/** The workflow was saved at Kapso between reading and writing it. */
function changedMeanwhile(setting: Setting, view: View): Finding {
  return asConflict(
    judge(setting, view),
    "The workflow was saved at Kapso at the same moment, so nothing was written. Compare both sides, then sync again.",
  );
}

/** A difference as a conflict, which a person has to resolve. */
function asConflict(finding: Finding, message: string): Finding {
  if (finding.outcome !== "pending" && finding.outcome !== "conflict") return finding;
  return { ...finding, outcome: "conflict", reason: "changed_at_kapso", message };
}

function describeRow(setting: Setting, { row, workflow }: View): Pick<
  Finding,
  "kapso" | "values" | "lockVersion" | "workflow"
> {
  return {
    kapso: {
      workflow_id: setting.kapso_workflow_id!,
      name: textOrNull(row.name),
      status: textOrNull(row.status),
      lock_version: row.lock_version ?? null,
    },
    values: undefined,
    // Only a whole number can be stored.
    lockVersion: int32.safeParse(row.lock_version).data,
    workflow,
  };
}

const REASONS = {
  no_workflow: "The setting has no workflow at Kapso yet.",
  no_kapso_key: "No connection of this workspace has a Kapso API key.",
  several_kapso_keys:
    "More than one connection of this workspace has a Kapso API key: choose one in connection_id.",
  kapso_key_refused:
    "Kapso rejected the API key of the connection, or the key lacks the permission.",
} as const;

async function withKapso(
  connect: Connect,
  setting: Setting,
  work: (kapso: KapsoWorkflows, workflowId: string, signal: AbortSignal) => Promise<Finding>,
): Promise<Finding> {
  const id = setting.kapso_workflow_id;
  if (id === null) return manualSetup(setting, "no_workflow");
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const connected = await connect(setting.workspace_id, setting.connection_id, signal);
    if (connected.reason !== undefined) return manualSetup(setting, connected.reason);
    return await work(connected.kapso, id, signal);
  } catch (error) {
    if (error instanceof DOMException && error.name === "TimeoutError") {
      return failed("kapso_unavailable", "Kapso did not answer in time.");
    }
    if (!(error instanceof KapsoError)) throw error;
    if (error.status === 401 || error.status === 403) {
      return manualSetup(setting, "kapso_key_refused");
    }
    if (error.status === 404) {
      return failed(
        "workflow_not_found",
        "The Kapso project of this key has no workflow with this id: it was deleted, or belongs to another project.",
      );
    }
    if (error.isRetryable || error.isAmbiguous || error.status === 0 || error.status >= 500) {
      return failed("kapso_unavailable", `Kapso could not be reached: ${error.message}`);
    }
    return failed("kapso_refused", `Kapso refused: ${error.message}`);
  }
}

const NOTHING_READ = {
  kapso: null,
  fingerprint: null,
  changes: [],
  problems: [],
  values: undefined,
  lockVersion: undefined,
  workflow: undefined,
};

function manualSetup(setting: Setting, reason: keyof typeof REASONS): Finding {
  return {
    ...NOTHING_READ,
    outcome: "manual_setup_required",
    reason,
    message: REASONS[reason],
    manual: writeManual(setting, undefined, []),
  };
}

function failed(reason: string, message: string): Finding {
  return { ...NOTHING_READ, outcome: "error", reason, message, manual: null };
}
