/**
 * Workflow settings as the function `workflow-settings` has them.
 *
 * @module
 */

/** Which nodes of a workflow at Kapso are meant. */
export interface KapsoMapping {
  agent_nodes: string[];
  keyword_conditions: { node_id: string; label: string }[];
}

/** What people write. */
export interface WorkflowValues {
  ai_model: string | null;
  system_prompt: string | null;
  temperature: number | null;
  max_tokens: number | null;
  keywords: string[];
  auto_reply_templates: Record<string, string>;
  connection_id: string | null;
  kapso_workflow_id: string | null;
  kapso_workflow_name: string | null;
  kapso_mapping: KapsoMapping;
}

/** The fields of {@linkcode WorkflowValues}, in the order in which they are shown. */
export const WORKFLOW_FIELDS: readonly (keyof WorkflowValues)[] = [
  "ai_model",
  "system_prompt",
  "temperature",
  "max_tokens",
  "keywords",
  "auto_reply_templates",
  "connection_id",
  "kapso_workflow_id",
  "kapso_workflow_name",
  "kapso_mapping",
];

/** How far Kapso has the values. */
export type SyncStatus =
  | "synced"
  | "pending"
  | "conflict"
  | "manual_setup_required"
  | "error";

/** A setting. */
export interface WorkflowSetting extends WorkflowValues {
  id: string;
  workspace_id: string;
  workflow_type: string;
  /** Counts changes of the values. */
  version: number;
  sync_status: SyncStatus;
  sync_reason: string | null;
  last_synced_at: string | null;
  last_checked_at: string | null;
  updated_at: string;
  updated_by: string | null;
}

/** A field that differs between here and Kapso. */
export interface FieldChange {
  node_id: string;
  node_name: string;
  field: "ai_model" | "system_prompt" | "temperature" | "max_tokens" | "keywords";
  /** The label of the condition, for keywords. */
  label: string | null;
  settings: string | number | null;
  kapso: string | number | null;
  /** What both once were; null: never synced. */
  last_synced: string | number | null;
  is_conflict: boolean;
}

/** What a look at Kapso found. */
export interface Finding {
  outcome: SyncStatus;
  reason: string | null;
  message: string;
  /** Null where Kapso was not read. */
  kapso: { workflow_id: string; name: string | null; status: string | null } | null;
  /** Names the values that Kapso has at this moment. */
  fingerprint: string | null;
  changes: FieldChange[];
  problems: { code: string; node_id: string | null; message: string }[];
  setting: WorkflowSetting;
}

/** How a person does it in Kapso's dashboard. */
export interface Manual {
  steps: { number: number; text: string; value: string | null }[];
  workflow_json: unknown;
}

/** A workflow at Kapso, to choose from. */
export interface KapsoWorkflow {
  id: string;
  name: string | null;
  status: string | null;
}

/** A change of a setting. */
export interface HistoryEntry {
  id: number;
  version: number;
  action: "created" | "updated" | "adopted" | "synced" | "checked" | "confirmed" | "deleted";
  changed_by: string | null;
  changed_at: string;
  sync_status: SyncStatus;
  sync_reason: string | null;
  values: WorkflowValues;
}
