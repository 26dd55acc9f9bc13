/**
 * The values of a workflow setting: the columns of `workflow_settings` that people write, and what its JSON
 * columns hold.
 *
 * @module
 */
import * as z from "zod";
import { requiredOr, storableText, utf8Length } from "./text.ts";

/** Characters of a prompt. Prompts of 50,000 are seen in use. */
export const MAX_PROMPT_LENGTH = 100_000;
/** Longest answer, in tokens. */
const MAX_TOKENS = 200_000;
const MAX_KEYWORDS = 200;
const MAX_TEMPLATES = 100;
const MAX_TEMPLATES_BYTES = 128 * 1024;

/** Name of a kind of workflow, unique in a workspace: sarah, brain, rules_engine or any other. */
export const workflowType = z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, {
  error: "must be lowercase letters, digits and _, beginning with a letter, at most 64 characters",
});

const text = (min: number, max: number) =>
  storableText
    .refine((value) => value.length >= min, {
      error: min === 1 ? "must not be empty" : `must be at least ${min} characters`,
    })
    .refine((value) => [...value].length <= max, {
      error: `must be at most ${max.toLocaleString("en")} characters`,
    });

const trimmed = (max: number) => storableText.transform((value) => value.trim()).pipe(text(1, max));

const nodeId = z.string({ error: requiredOr("a string") })
  .min(1, { error: "must not be empty" })
  .max(200, { error: "must be at most 200 characters" })
  .refine((value) => value.isWellFormed() && !value.includes("\0"), {
    error: "must be valid Unicode",
  });

/** Texts by name. The template named like the label of a condition is its answer. */
export const autoReplyTemplates = z.record(
  trimmed(64),
  text(1, 4096),
  { error: requiredOr("an object of texts") },
).refine((templates) => Object.keys(templates).length <= MAX_TEMPLATES, {
  error: `must have at most ${MAX_TEMPLATES} texts`,
}).refine((templates) => utf8Length(JSON.stringify(templates)) <= MAX_TEMPLATES_BYTES, {
  error: `must be at most ${MAX_TEMPLATES_BYTES / 1024} KB`,
});

/** Texts by name. */
export type AutoReplyTemplates = z.output<typeof autoReplyTemplates>;

/** The nodes of the Kapso workflow that a setting manages. Nothing else of the workflow is ever changed. */
export const kapsoMapping = z.strictObject({
  /** Ids of agent nodes. Empty: the workflow's only agent node. */
  agent_nodes: z.array(nodeId).max(20, { error: "must be at most 20 nodes" }).default([]),
  /** Conditions of decide nodes whose description lists the keywords. */
  keyword_conditions: z.array(z.strictObject({
    node_id: nodeId,
    label: text(1, 200),
  })).max(50, { error: "must be at most 50 conditions" }).default([]),
}, { error: unknownField("must be an object") });

/** The nodes of the Kapso workflow that a setting manages. */
export type KapsoMapping = z.output<typeof kapsoMapping>;

/** What a person may change. An absent field keeps its value, null empties it. */
export const settingChanges = z.strictObject({
  ai_model: trimmed(200).nullable().optional(),
  system_prompt: text(1, MAX_PROMPT_LENGTH).nullable().optional(),
  temperature: z.number({ error: "must be a number or null" })
    .min(0, { error: "must be from 0 to 2" })
    .max(2, { error: "must be from 0 to 2" })
    .nullable().optional(),
  max_tokens: z.int({ error: tokensError(MAX_TOKENS) })
    .min(1, { error: tokensError(MAX_TOKENS) })
    .max(MAX_TOKENS, { error: tokensError(MAX_TOKENS) })
    .nullable().optional(),
  keywords: z.array(trimmed(100), { error: "must be an array of texts" })
    .max(MAX_KEYWORDS, { error: `must be at most ${MAX_KEYWORDS} words` })
    .refine((words) => new Set(words.map((word) => word.toLowerCase())).size === words.length, {
      error: "must not have a word twice",
    })
    .nullable().optional(),
  auto_reply_templates: autoReplyTemplates.nullable().optional(),
  connection_id: z.guid({ error: "must be the id of a connection" }).nullable().optional(),
  kapso_workflow_id: z.string({ error: "must be a string or null" })
    .regex(/^[A-Za-z0-9_-]{1,64}$/, {
      error: "must be a workflow's id: 1 to 64 letters, digits, - and _",
    })
    .nullable().optional(),
  kapso_workflow_name: trimmed(200).nullable().optional(),
  kapso_mapping: kapsoMapping.nullable().optional(),
}, { error: unknownField("must be an object") });

/** What a person may change. */
export type SettingChanges = z.output<typeof settingChanges>;

/** The values of a stored setting, as answers and the history have them. */
export const workflowValues = z.object({
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
});

/** The values of a stored setting. */
export type WorkflowValues = z.output<typeof workflowValues>;

/**
 * Values at Kapso that a setting manages, by node id and field: `ai_model`, `system_prompt`,
 * `temperature`, `max_tokens`, and `keywords:<label>` for the description of a condition.
 */
export type ManagedValues = Record<string, Record<string, string | number | null>>;

function tokensError(max: number): string {
  return `must be a whole number from 1 to ${max.toLocaleString("en")}`;
}

function unknownField(otherwise: string) {
  return (issue: { code?: string | undefined; keys?: string[] }) =>
    issue.code === "unrecognized_keys"
      ? `has an unknown field: ${issue.keys?.[0]?.slice(0, 100)}`
      : otherwise;
}
