/**
 * Settings and Kapso: look, compare, write.
 *
 * A workflow is written only over what somebody here has seen: values that were last synced, or that a
 * person has looked at and named by their fingerprint. Everything else is a conflict.
 *
 * @module
 */
import * as z from "zod";
import { KapsoError, type Row } from "../_shared/kapso/api/client.ts";
import { type ManagedValues } from "../_shared/contracts/workflow_setting.ts";
import { type Change, compare, fingerprintOf } from "./comparison.ts";
import { editDefinition, readGraph } from "./definition.ts";
import type { Connected, KapsoWorkflows } from "./kapso.ts";
import { type Known, type Manual, writeManual } from "./manual.ts";
import { resolveModels } from "./models.ts";
import type { Setting } from "./store.ts";
import { editsOf, findTargets, type Problem, valuesAtKapso } from "./editable_fields.ts";

/** How a setting and Kapso are. */
export type Outcome = "synced" | "pending" | "conflict" | "manual_setup_required" | "error";

/** What a look at Kapso found. */
export interface Finding {
  outcome: Outcome;
  /** A code of docs/api/workflow-settings.md, or null. */
  reason: string | null;
  message: string;
  kapso: { workflow_id: string; name: unknown; status: unknown; lock_version: unknown } | null;
  fingerprint: string | null;
  changes: Change[];
  problems: Problem[];
  manual: Manual | null;
  /** What Kapso has now, where it was read; not for the answer. */
  values: ManagedValues | undefined;
  lockVersion: number | undefined;
  known: Known | undefined;
}

/** How to sync. */
export interface SyncOptions {
  isDryRun: boolean;
  /** The fingerprint of values that a person has seen and wants to be overwritten. */
  overwrite: string | undefined;
}

/** Way to Kapso, as {@linkcode createConnect} makes it. */
export type Connect = (
  workspaceId: string,
  connectionId: string | null,
  signal: AbortSignal,
) => Promise<Connected>;

/** For all questions of one request; the platform would cut it off later. */
const TIMEOUT_MS = 45_000;
/** To see what became of a write that was not answered. */
const SECOND_LOOK_TIMEOUT_MS = 15_000;

/** Compare a setting with Kapso, writing nothing. */
export async function checkSetting(connect: Connect, setting: Setting): Promise<Finding> {
  return await withKapso(connect, setting, async (kapso, id, signal) => {
    const view = await look(kapso, id, setting, signal);
    return judge(setting, view);
  });
}

/** Write a setting to Kapso, unless that would overwrite what nobody has seen. */
export async function syncSetting(
  connect: Connect,
  setting: Setting,
  { isDryRun, overwrite }: SyncOptions,
): Promise<Finding> {
  return await withKapso(connect, setting, async (kapso, id, signal) => {
    const view = await look(kapso, id, setting, signal);
    const finding = judge(setting, view);
    const isAllowed = finding.outcome === "pending" ||
      (finding.outcome === "conflict" && overwrite === view.fingerprint);
    if (isDryRun || !isAllowed || !view.known) return finding;

    // As late as can be: Kapso is said not to compare lock_version itself everywhere.
    const now = await kapso.getWorkflow(id, { signal });
    if (now.lock_version !== view.workflow.lock_version) {
      return changedMeanwhile(setting, await look(kapso, id, setting, signal));
    }
    const definition = editDefinition(
      view.known.graph,
      editsOf(view.known.targets, view.known.models),
    );
    const lock = JSON.stringify(view.workflow.lock_version ?? null);
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
    const after = await look(kapso, id, setting, AbortSignal.timeout(SECOND_LOOK_TIMEOUT_MS));
    const result = judge(setting, after);
    if (result.outcome === "synced") return { ...result, message: "Kapso has these values now." };
    if (failure?.status === 409) return changedMeanwhile(setting, after);
    if (failure !== undefined) throw failure;
    return otherwise(
      result,
      "Kapso took the values, and has others now: somebody saved the workflow right after, or Kapso keeps them differently. Look at both sides.",
    );
  });
}

const int32 = z.int32();

/** What was read of a workflow. */
interface View {
  workflow: Row;
  known: Known | undefined;
  problems: Problem[];
  changes: Change[];
  fingerprint: string | null;
}

async function look(
  kapso: KapsoWorkflows,
  id: string,
  setting: Setting,
  signal: AbortSignal,
): Promise<View> {
  // The version first: a graph that is newer than its version is refused when it is written back.
  const workflow = await kapso.getWorkflow(id, { signal });
  const graph = readGraph(await kapso.getWorkflowDefinitionText(id, { signal }));
  if (!graph) {
    const problem = {
      code: "unreadable_definition",
      node_id: null,
      message:
        "Kapso's definition of the workflow has a shape that is not known here, or two nodes with one id",
    };
    return { workflow, known: undefined, problems: [problem], changes: [], fingerprint: null };
  }
  const { targets, problems } = findTargets(graph, setting);
  const resolved = await resolveModels(kapso, graph, targets, signal);
  problems.push(...resolved.problems);
  return {
    workflow,
    known: { graph, targets, models: resolved.models },
    problems,
    changes: compare(targets, setting.synced_values),
    fingerprint: await fingerprintOf(id, targets),
  };
}

function judge(setting: Setting, view: View): Finding {
  const { changes, problems, known, fingerprint } = view;
  const seen = seenOf(setting, view);
  if (problems.length > 0) {
    return {
      ...seen,
      outcome: "manual_setup_required",
      reason: "workflow_does_not_fit",
      message: "The workflow at Kapso is not as these settings expect it. Change it by hand.",
      changes,
      problems,
      fingerprint,
      manual: writeManual(setting, known, problems),
    };
  }
  if (changes.length === 0) {
    return {
      ...seen,
      outcome: "synced",
      reason: null,
      message: "Kapso has these values.",
      changes,
      problems,
      fingerprint,
      manual: null,
      values: valuesAtKapso(known?.targets ?? []),
    };
  }
  const isConflict = changes.some((change) => change.is_conflict);
  return {
    ...seen,
    outcome: isConflict ? "conflict" : "pending",
    reason: isConflict ? "changed_at_kapso" : null,
    message: isConflict
      ? "Kapso has values that nobody here has seen. Take over one of the two sides."
      : "These values are not at Kapso yet.",
    changes,
    problems,
    fingerprint,
    manual: null,
  };
}

/** Somebody saved the workflow between our reading and our writing. */
function changedMeanwhile(setting: Setting, view: View): Finding {
  return otherwise(
    judge(setting, view),
    "Somebody saved the workflow at Kapso at the same moment, so nothing was written. Look at both sides, and sync again.",
  );
}

/** A difference that a person has to look at, whoever made it. */
function otherwise(finding: Finding, message: string): Finding {
  if (finding.outcome !== "pending" && finding.outcome !== "conflict") return finding;
  return { ...finding, outcome: "conflict", reason: "changed_at_kapso", message };
}

function seenOf(setting: Setting, { workflow, known }: View): Pick<
  Finding,
  "kapso" | "values" | "lockVersion" | "known"
> {
  const { name, status, lock_version } = workflow;
  return {
    kapso: {
      workflow_id: setting.kapso_workflow_id!,
      name: name ?? null,
      status: status ?? null,
      lock_version: lock_version ?? null,
    },
    values: undefined,
    // Only what can be compared and kept: whatever it is goes back as it came.
    lockVersion: int32.safeParse(lock_version).data,
    known,
  };
}

const REASONS = {
  no_workflow: "The setting names no workflow at Kapso yet.",
  no_kapso_key: "No connection of this workspace has a key of Kapso.",
  several_kapso_keys:
    "More than one connection of this workspace has a key of Kapso: choose one in connection_id.",
  kapso_key_refused: "Kapso does not accept the key of the connection, or it may not do this.",
} as const;

async function withKapso(
  connect: Connect,
  setting: Setting,
  work: (kapso: KapsoWorkflows, workflowId: string, signal: AbortSignal) => Promise<Finding>,
): Promise<Finding> {
  const id = setting.kapso_workflow_id;
  if (id === null) return byHand(setting, "no_workflow");
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const connected = await connect(setting.workspace_id, setting.connection_id, signal);
    if (connected.reason !== undefined) return byHand(setting, connected.reason);
    return await work(connected.kapso, id, signal);
  } catch (error) {
    if (error instanceof DOMException && error.name === "TimeoutError") {
      return failed("kapso_unavailable", "Kapso did not answer in time.");
    }
    if (!(error instanceof KapsoError)) throw error;
    if (error.status === 401 || error.status === 403) return byHand(setting, "kapso_key_refused");
    if (error.status === 404) {
      return failed(
        "workflow_not_found",
        "The project of this key has no workflow with this id: it was deleted, or belongs to another project.",
      );
    }
    if (error.isRetryable || error.isAmbiguous || error.status === 0 || error.status >= 500) {
      return failed("kapso_unavailable", `Kapso could not be asked: ${error.message}`);
    }
    return failed("kapso_refused", `Kapso refused: ${error.message}`);
  }
}

const NOTHING_SEEN = {
  kapso: null,
  fingerprint: null,
  changes: [],
  problems: [],
  values: undefined,
  lockVersion: undefined,
  known: undefined,
};

function byHand(setting: Setting, reason: keyof typeof REASONS): Finding {
  return {
    ...NOTHING_SEEN,
    outcome: "manual_setup_required",
    reason,
    message: REASONS[reason],
    manual: writeManual(setting, undefined, []),
  };
}

function failed(reason: string, message: string): Finding {
  return { ...NOTHING_SEEN, outcome: "error", reason, message, manual: null };
}
