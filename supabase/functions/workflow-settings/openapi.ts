/**
 * workflow-settings for the OpenAPI document.
 *
 * @module
 */
import * as z from "zod";
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from "zod-openapi";
import { errors, type FunctionDescription, json } from "../_shared/http/openapi.ts";
import { workflowType } from "../_shared/contracts/workflow_setting.ts";
import * as schema from "./schema.ts";

const error = z.object({
  code: z.string(),
  message: z.string(),
  details: z.null(),
  request_id: z.string(),
}).meta({ id: "WorkflowError" });

const time = z.iso.datetime();
const syncStatus = z.enum(["synced", "pending", "conflict", "manual_setup_required", "error"]);
const value = z.union([z.string(), z.number()]);

const setting = z.object({
  id: z.uuid(),
  workspace_id: z.guid(),
  workflow_type: workflowType,
  version: z.int(),
  ai_model: z.string().nullable(),
  system_prompt: z.string().nullable(),
  temperature: z.number().nullable(),
  max_tokens: z.int().nullable(),
  keywords: z.array(z.string()),
  auto_reply_templates: z.record(z.string(), z.string()),
  connection_id: z.guid().nullable(),
  kapso_workflow_id: z.string().nullable(),
  kapso_workflow_name: z.string().nullable(),
  kapso_mapping: z.object({
    agent_nodes: z.array(z.string()),
    keyword_conditions: z.array(z.object({ node_id: z.string(), label: z.string() })),
  }),
  sync_status: syncStatus,
  sync_reason: z.string().nullable(),
  last_synced_at: time.nullable(),
  last_checked_at: time.nullable(),
  updated_at: time,
  updated_by: z.guid().nullable(),
}).meta({ id: "WorkflowSetting" });

const manual = z.object({
  steps: z.array(z.object({
    number: z.int(),
    text: z.string(),
    value: z.string().nullable().meta({ description: "What to paste in this step." }),
  })),
  workflow_json: z.looseObject({}).meta({
    description: "A workflow for Kapso's importer or API.",
  }),
}).meta({ id: "WorkflowManual" });

const finding = z.object({
  outcome: syncStatus,
  reason: z.string().nullable(),
  message: z.string(),
  is_dry_run: z.boolean(),
  kapso: z.object({
    workflow_id: z.string(),
    name: z.string().nullable(),
    status: z.string().nullable(),
    lock_version: z.int().nullable(),
  }).nullable(),
  fingerprint: z.string().nullable(),
  changes: z.array(z.object({
    node_id: z.string(),
    node_name: z.string(),
    field: z.enum(["ai_model", "system_prompt", "temperature", "max_tokens", "keywords"]),
    label: z.string().nullable().meta({ description: "Of a condition, else null." }),
    settings: value,
    kapso: value.nullable(),
    last_synced: value.nullable(),
    is_conflict: z.boolean(),
  })),
  problems: z.array(z.object({
    code: z.string(),
    node_id: z.string().nullable(),
    message: z.string(),
  })),
  manual: manual.nullable(),
  setting,
}).meta({ id: "WorkflowFinding" });

const historyEntry = z.object({
  id: z.int(),
  version: z.int(),
  action: z.enum([
    "created",
    "updated",
    "adopted",
    "synced",
    "checked",
    "confirmed",
    "deleted",
  ]),
  changed_by: z.guid().nullable().meta({ description: "Null where a program did it." }),
  changed_at: time,
  sync_status: syncStatus,
  sync_reason: z.string().nullable(),
  values: setting.pick({
    ai_model: true,
    system_prompt: true,
    temperature: true,
    max_tokens: true,
    keywords: true,
    auto_reply_templates: true,
    connection_id: true,
    kapso_workflow_id: true,
    kapso_workflow_name: true,
    kapso_mapping: true,
  }).meta({ description: "The fields of the setting, as they were from then on." }),
});

const workspace = z.object({ workspace: z.guid() });
const place = workspace.extend({ type: workflowType });
const kapsoWorkflow = z.object({
  id: z.string().nullable(),
  name: z.string().nullable(),
  status: z.string().nullable(),
  updated_at: z.string().nullable(),
});

interface Operation {
  id: string;
  summary: string;
  /** Workspace and type without it. */
  path?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodType;
  /** What a success has; without it, nothing. */
  data?: z.ZodType;
  /** Statuses of refusals besides those that every request or every body can have. */
  refused?: Parameters<typeof errors>[1][];
}

function operation(
  { id, summary, path = place, query, body, data, refused = [] }: Operation,
): ZodOpenApiOperationObject {
  return {
    operationId: id,
    tags: ["workflow-settings"],
    summary,
    security: [{ userToken: [] }],
    requestParams: { path, ...(query ? { query } : {}) },
    ...(body
      ? { requestBody: { required: true, content: { "application/json": { schema: body } } } }
      : {}),
    responses: {
      ...(data ? { "200": json(data, "Done") } : { "204": { description: "Done" } }),
      // The type, or the query.
      ...(path === place || query || body ? errors(error, 400) : {}),
      ...errors(error, 401, 403, 404, 405, ...refused),
      ...(body ? errors(error, 413) : {}),
      ...errors(error, 500, 503),
    },
  };
}

const BASE = "/workflow-settings/{workspace}";
const save = operation({
  id: "saveWorkflowSetting",
  summary: "Create or change a setting. A field that is left out keeps its value, null empties it.",
  body: schema.saveBody,
  data: z.object({ setting }),
  refused: [409],
});

const paths: ZodOpenApiPathsObject = {
  [BASE]: {
    get: operation({
      id: "listWorkflowSettings",
      summary: "All settings of a workspace.",
      path: workspace,
      data: z.object({ settings: z.array(setting) }),
    }),
  },
  [`${BASE}/kapso-workflows`]: {
    get: operation({
      id: "listKapsoWorkflows",
      summary: "The workflows at Kapso, to choose from.",
      path: workspace,
      query: schema.workflowsQuery,
      data: z.object({ workflows: z.array(kapsoWorkflow) }),
      refused: [409],
    }),
  },
  [`${BASE}/{type}`]: {
    get: operation({
      id: "getWorkflowSetting",
      summary: "A setting.",
      data: z.object({ setting }),
    }),
    put: {
      ...save,
      responses: { ...save.responses, "201": json(z.object({ setting }), "A new one") },
    },
    delete: operation({
      id: "deleteWorkflowSetting",
      summary: "Remove a setting; its history stays.",
    }),
  },
  [`${BASE}/{type}/history`]: {
    get: operation({
      id: "listWorkflowHistory",
      summary: "Every change, newest first.",
      query: schema.historyQuery.extend({
        // On the wire they are text, to a caller numbers.
        max: z.int().min(1).max(schema.MAX_HISTORY).default(schema.DEFAULT_HISTORY),
        before: z.int().min(1).optional(),
      }),
      data: z.object({ history: z.array(historyEntry) }),
    }),
  },
  [`${BASE}/{type}/sync`]: {
    post: operation({
      id: "syncWorkflowSetting",
      summary: "Write a setting to Kapso, unless that overwrites what nobody has seen.",
      body: schema.syncBody,
      data: finding,
    }),
  },
  [`${BASE}/{type}/check`]: {
    post: operation({
      id: "checkWorkflowSetting",
      summary: "Look at Kapso for drift; nothing is written there.",
      data: finding,
    }),
  },
  [`${BASE}/{type}/adopt`]: {
    post: operation({
      id: "adoptWorkflow",
      summary: "Take over what Kapso has, as it was shown.",
      body: schema.adoptBody,
      data: finding,
      refused: [409],
    }),
  },
  [`${BASE}/{type}/manual`]: {
    get: operation({
      id: "getWorkflowManual",
      summary: "Instructions for doing it by hand, and the workflow's JSON.",
      data: z.object({ manual, setting }),
    }),
  },
  [`${BASE}/{type}/confirm`]: {
    post: operation({
      id: "confirmWorkflowSetting",
      summary: "Say that Kapso was updated by hand.",
      body: schema.confirmBody,
      data: z.object({ setting }),
      refused: [409],
    }),
  },
};

/** /workflow-settings/{workspace} and what is below it. */
export const workflowSettings: FunctionDescription = {
  name: "workflow-settings",
  description: "The settings of a workspace's AI workflows, and their way to Kapso.",
  paths,
};
