/**
 * The API of workflow-settings: the settings of a workspace's AI workflows, and their sync with Kapso.
 *
 * @module
 */
import * as z from "zod";
import { apiError } from "./errors.ts";
import { wholeNumber } from "./numbers.ts";
import { defineRoute, errorsOf } from "./route.ts";
import { settingChanges, workflowType, workflowValues } from "./workflow_values.ts";

/** How a setting and Kapso compare. `pending`: changed here; `conflict`: changed at Kapso. */
export const syncStatus = z.enum([
  "synced",
  "pending",
  "conflict",
  "manual_setup_required",
  "error",
]);

/** How a setting and Kapso compare. */
export type SyncStatus = z.output<typeof syncStatus>;

const time = z.iso.datetime();

/** A setting. */
export const workflowSetting = z.object({
  id: z.guid(),
  workspace_id: z.guid(),
  workflow_type: workflowType,
  version: z.int().meta({ description: "Counts changes of the values." }),
  ...workflowValues.shape,
  sync_status: syncStatus,
  sync_reason: z.string().nullable(),
  last_synced_at: time.nullable(),
  last_checked_at: time.nullable(),
  updated_at: time,
  updated_by: z.guid().nullable(),
}).meta({ id: "WorkflowSetting" });

/** A setting. */
export type WorkflowSetting = z.output<typeof workflowSetting>;

/** A field at Kapso that a setting manages. */
export const managedFieldName = z.enum([
  "ai_model",
  "system_prompt",
  "temperature",
  "max_tokens",
  "keywords",
]);

/** A field at Kapso that a setting manages. */
export type ManagedFieldName = z.output<typeof managedFieldName>;

const fieldValue = z.union([z.string(), z.number()]);

/** A field that differs between the setting and Kapso, with both values. */
export const fieldChange = z.object({
  node_id: z.string(),
  node_name: z.string(),
  field: managedFieldName,
  label: z.string().nullable().meta({ description: "Of a condition, else null." }),
  settings: fieldValue,
  kapso: fieldValue.nullable(),
  last_synced: fieldValue.nullable().meta({
    description: "The value both had when they were last synced; null before the first sync.",
  }),
  is_conflict: z.boolean().meta({ description: "Whether Kapso's value changed since then." }),
});

/** A field that differs between the setting and Kapso, with both values. */
export type FieldChange = z.output<typeof fieldChange>;

/** Why the function cannot update the workflow at Kapso. */
export const workflowProblem = z.object({
  code: z.string(),
  node_id: z.string().nullable(),
  message: z.string(),
});

/** Why the function cannot update the workflow at Kapso. */
export type WorkflowProblem = z.output<typeof workflowProblem>;

/** Instructions for updating the workflow in Kapso's dashboard. */
export const workflowManual = z.object({
  steps: z.array(z.object({
    number: z.int(),
    text: z.string(),
    value: z.string().nullable().meta({ description: "What to paste in this step." }),
  })),
  workflow_json: z.record(z.string(), z.unknown()).meta({
    description: "A workflow for Kapso's importer or API.",
  }),
}).meta({ id: "WorkflowManual" });

/** Instructions for updating the workflow in Kapso's dashboard. */
export type WorkflowManual = z.output<typeof workflowManual>;

/** The result of comparing a setting with Kapso. */
export const workflowFinding = z.object({
  outcome: syncStatus,
  reason: z.string().nullable().meta({
    description: "A code; docs/api/workflow-settings.md lists them.",
  }),
  message: z.string(),
  is_dry_run: z.boolean(),
  kapso: z.object({
    workflow_id: z.string(),
    name: z.string().nullable(),
    status: z.string().nullable(),
    lock_version: z.unknown().meta({
      description: "Version of the workflow as Kapso sends it, usually a whole number, or null.",
    }),
  }).nullable().meta({ description: "The workflow at Kapso; null where it was not read." }),
  fingerprint: z.string().nullable().meta({ description: "Names the values Kapso has right now." }),
  changes: z.array(fieldChange),
  problems: z.array(workflowProblem),
  manual: workflowManual.nullable(),
  setting: workflowSetting,
}).meta({ id: "WorkflowFinding" });

/** The result of comparing a setting with Kapso. */
export type WorkflowFinding = z.output<typeof workflowFinding>;

/** What changed a setting. */
export const historyAction = z.enum([
  "created",
  "updated",
  "adopted",
  "synced",
  "checked",
  "confirmed",
  "deleted",
]);

/** What changed a setting. */
export type HistoryAction = z.output<typeof historyAction>;

/** A change of a setting. */
export const workflowHistoryEntry = z.object({
  id: z.int(),
  version: z.int(),
  action: historyAction,
  changed_by: z.guid().nullable().meta({ description: "Null for a program." }),
  changed_at: time,
  sync_status: syncStatus,
  sync_reason: z.string().nullable(),
  values: workflowValues.meta({ description: "The values of the setting after the change." }),
});

/** A change of a setting. */
export type WorkflowHistoryEntry = z.output<typeof workflowHistoryEntry>;

/** A workflow at Kapso, to choose from. */
export const kapsoWorkflow = z.object({
  id: z.string().nullable(),
  name: z.string().nullable(),
  status: z.string().nullable(),
  updated_at: z.string().nullable(),
});

/** A workflow at Kapso, to choose from. */
export type KapsoWorkflow = z.output<typeof kapsoWorkflow>;

const version = z.int({ error: "must be the version that you have read" }).min(1);
const fingerprint = z.string().regex(/^[0-9a-f]{32}$/, {
  error: "must be a fingerprint from the answer of sync or check",
});

/** A save: the fields, and the version they were read in; null or absent for a new setting. */
export const saveRequest = settingChanges.extend({ version: version.nullable().optional() });

/** A sync. */
export const syncSettingRequest = z.strictObject({
  dry_run: z.boolean({ error: "must be true or false" }).default(false),
  overwrite: fingerprint.optional(),
  version: version.optional(),
});

/** Entries in a page of the history: the default, and the most. */
const DEFAULT_HISTORY = 50;
const MAX_HISTORY = 200;

/** A page of the history: entries with an id below `before`. */
export const historyQuery = z.object({
  max: wholeNumber(1, MAX_HISTORY, DEFAULT_HISTORY),
  before: z.string()
    .regex(/^\d{1,15}$/, { error: "must be the id of an entry", abort: true })
    .transform(Number)
    .refine((id) => id >= 1, { error: "must be the id of an entry" })
    .meta({ override: { type: "integer", minimum: 1 } })
    .optional(),
});

// Text that is no id is the id of no workspace: that is 404, not 400.
const workspace = z.string().meta({ format: "uuid", description: "Id of the workspace." });
const workspacePath = z.object({ workspace });
const settingPath = z.object({ workspace, type: workflowType });
const settingAnswer = z.object({ setting: workflowSetting });

/** What the routes of one workspace have in common. */
const common = {
  params: workspacePath,
  security: ["userToken"],
  errors: errorsOf(apiError, 401, 403, 404, 405, 500, 503),
} as const;
/** What the routes of one setting have in common. */
const ofSetting = {
  ...common,
  params: settingPath,
  errors: { ...common.errors, ...errorsOf(apiError, 400) },
} as const;
const ofSettingWithBody = {
  ...ofSetting,
  errors: { ...ofSetting.errors, ...errorsOf(apiError, 408, 413, 429) },
} as const;

/** `GET /workflow-settings/{workspace}`. */
export const listWorkflowSettings = defineRoute({
  ...common,
  method: "get",
  path: "/workflow-settings/{workspace}",
  operationId: "listWorkflowSettings",
  summary: "List the settings of a workspace.",
  responses: {
    200: {
      description: "All settings, by type",
      body: z.object({ settings: z.array(workflowSetting) }),
    },
  },
});

/** `GET /workflow-settings/{workspace}/kapso-workflows`. */
export const listKapsoWorkflows = defineRoute({
  ...common,
  method: "get",
  path: "/workflow-settings/{workspace}/kapso-workflows",
  operationId: "listKapsoWorkflows",
  summary: "List the workflows at Kapso, to choose from.",
  query: z.object({
    connection_id: z.guid({ error: "must be the id of a connection" }).optional(),
  }),
  responses: {
    200: {
      description: "The workflows of the connection's Kapso project",
      body: z.object({ workflows: z.array(kapsoWorkflow) }),
    },
  },
  errors: { ...common.errors, ...errorsOf(apiError, 400, 409) },
});

/** `GET /workflow-settings/{workspace}/{type}`. */
export const getWorkflowSetting = defineRoute({
  ...ofSetting,
  method: "get",
  path: "/workflow-settings/{workspace}/{type}",
  operationId: "getWorkflowSetting",
  summary: "Read a setting.",
  responses: { 200: { description: "The setting", body: settingAnswer } },
});

/** `PUT /workflow-settings/{workspace}/{type}`. */
export const saveWorkflowSetting = defineRoute({
  ...ofSettingWithBody,
  method: "put",
  path: "/workflow-settings/{workspace}/{type}",
  operationId: "saveWorkflowSetting",
  summary: "Create or change a setting. An absent field keeps its value, null empties it.",
  body: saveRequest,
  responses: {
    200: { description: "The changed setting", body: settingAnswer },
    201: { description: "The new setting", body: settingAnswer },
  },
  errors: { ...ofSettingWithBody.errors, ...errorsOf(apiError, 409) },
});

/** `DELETE /workflow-settings/{workspace}/{type}`. */
export const deleteWorkflowSetting = defineRoute({
  ...ofSetting,
  method: "delete",
  path: "/workflow-settings/{workspace}/{type}",
  operationId: "deleteWorkflowSetting",
  summary: "Delete a setting; its history stays.",
  responses: { 204: { description: "Deleted" } },
});

/** `GET /workflow-settings/{workspace}/{type}/history`. */
export const listWorkflowHistory = defineRoute({
  ...ofSetting,
  method: "get",
  path: "/workflow-settings/{workspace}/{type}/history",
  operationId: "listWorkflowHistory",
  summary: "List the changes of a setting, newest first.",
  query: historyQuery,
  responses: {
    200: {
      description: "A page of changes",
      body: z.object({ history: z.array(workflowHistoryEntry) }),
    },
  },
});

/** `POST /workflow-settings/{workspace}/{type}/sync`. */
export const syncWorkflowSetting = defineRoute({
  ...ofSettingWithBody,
  method: "post",
  path: "/workflow-settings/{workspace}/{type}/sync",
  operationId: "syncWorkflowSetting",
  summary: "Write a setting to Kapso, unless that would overwrite a change made at Kapso.",
  body: syncSettingRequest,
  responses: { 200: { description: "The comparison after the sync", body: workflowFinding } },
  errors: { ...ofSettingWithBody.errors, ...errorsOf(apiError, 409) },
});

/** `POST /workflow-settings/{workspace}/{type}/check`. */
export const checkWorkflowSetting = defineRoute({
  ...ofSetting,
  method: "post",
  path: "/workflow-settings/{workspace}/{type}/check",
  operationId: "checkWorkflowSetting",
  summary: "Compare a setting with Kapso, without writing there.",
  responses: { 200: { description: "The comparison", body: workflowFinding } },
});

/** `POST /workflow-settings/{workspace}/{type}/adopt`. */
export const adoptWorkflow = defineRoute({
  ...ofSettingWithBody,
  method: "post",
  path: "/workflow-settings/{workspace}/{type}/adopt",
  operationId: "adoptWorkflow",
  summary: "Take Kapso's values over into the setting, if they are still the ones that were shown.",
  body: z.strictObject({ fingerprint, version }),
  responses: { 200: { description: "The comparison afterwards", body: workflowFinding } },
  errors: { ...ofSettingWithBody.errors, ...errorsOf(apiError, 409) },
});

/** `GET /workflow-settings/{workspace}/{type}/manual`. */
export const getWorkflowManual = defineRoute({
  ...ofSetting,
  method: "get",
  path: "/workflow-settings/{workspace}/{type}/manual",
  operationId: "getWorkflowManual",
  summary: "Read the instructions for updating Kapso manually, and the workflow's JSON.",
  responses: {
    200: {
      description: "The instructions",
      body: z.object({ manual: workflowManual, setting: workflowSetting }),
    },
  },
});

/** `POST /workflow-settings/{workspace}/{type}/confirm`. */
export const confirmWorkflowSetting = defineRoute({
  ...ofSettingWithBody,
  method: "post",
  path: "/workflow-settings/{workspace}/{type}/confirm",
  operationId: "confirmWorkflowSetting",
  summary: "Confirm that Kapso was updated manually.",
  body: z.strictObject({ version }),
  responses: { 200: { description: "The setting", body: settingAnswer } },
  errors: { ...ofSettingWithBody.errors, ...errorsOf(apiError, 409) },
});
