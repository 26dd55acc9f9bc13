/**
 * What a workflow setting is: the columns of `workflow_settings` that people write, and what its JSON
 * columns hold.
 *
 * @module
 */
import * as z from "zod";
import { requiredOr, storableText, utf8Length } from "./text.ts";

/** Characters of a prompt. Prompts of 50,000 are seen in use. */
export const MAX_PROMPT_LENGTH = 100_000;
/** Longest answer, in tokens. */
export const MAX_TOKENS = 200_000;
const MAX_KEYWORDS = 200;
const MAX_TEMPLATES = 100;
const MAX_TEMPLATES_BYTES = 128 * 1024;

/** Name of a kind of workflow: sarah, brain, rules_engine, or any other. */
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

/** Texts by name. A template that has the name of a condition's label answers it. */
export const autoReplyTemplates = z.record(
  trimmed(64),
  text(1, 4096),
  { error: requiredOr("an object of texts") },
).refine((templates) => Object.keys(templates).length <= MAX_TEMPLATES, {
  error: `must have at most ${MAX_TEMPLATES} texts`,
}).refine((templates) => utf8Length(JSON.stringify(templates)) <= MAX_TEMPLATES_BYTES, {
  error: `must be at most ${MAX_TEMPLATES_BYTES / 1024} KB`,
});

/** {@linkcode autoReplyTemplates}, checked. */
export type AutoReplyTemplates = z.output<typeof autoReplyTemplates>;

/** Which nodes of the workflow at Kapso are meant. Nothing else of it is ever changed. */
export const kapsoMapping = z.strictObject({
  /** Ids of agent nodes; none: the only one there is. */
  agent_nodes: z.array(nodeId).max(20, { error: "must be at most 20 nodes" }).default([]),
  /** Conditions of decide nodes whose description lists the keywords. */
  keyword_conditions: z.array(z.strictObject({
    node_id: nodeId,
    label: text(1, 200),
  })).max(50, { error: "must be at most 50 conditions" }).default([]),
}, { error: unknownField("must be an object") });

/** {@linkcode kapsoMapping}, checked. */
export type KapsoMapping = z.output<typeof kapsoMapping>;

/** What a person may change; a key that is left out keeps its value, null empties it. */
export const settingChanges = z.strictObject({
  ai_model: trimmed(200).nullable().optional(),
  system_prompt: text(1, MAX_PROMPT_LENGTH).nullable().optional(),
  temperature: z.number({ error: "must be a number or null" })
    .min(0, { error: "must be from 0 to 2" })
    .max(2, { error: "must be from 0 to 2" })
    .nullable().optional(),
  max_tokens: z.int({ error: wholeNumber(MAX_TOKENS) })
    .min(1, { error: wholeNumber(MAX_TOKENS) })
    .max(MAX_TOKENS, { error: wholeNumber(MAX_TOKENS) })
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

/** {@linkcode settingChanges}, checked. */
export type SettingChanges = z.output<typeof settingChanges>;

/** The fields of a setting, as its history keeps them. */
export type SettingValues = {
  [Field in keyof Required<SettingChanges>]: Exclude<SettingChanges[Field], undefined>;
};

/**
 * Values at Kapso that belong to a setting, by node and field: `ai_model`, `system_prompt`,
 * `temperature`, `max_tokens`, and `keywords:<label>` for the description of a condition.
 */
export const managedValues = z.record(
  z.string(),
  z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
);

/** {@linkcode managedValues}, checked. */
export type ManagedValues = z.output<typeof managedValues>;

function wholeNumber(max: number): string {
  return `must be a whole number from 1 to ${max.toLocaleString("en")}`;
}

function unknownField(otherwise: string) {
  return (issue: { code?: string | undefined; keys?: string[] }) =>
    issue.code === "unrecognized_keys"
      ? `has an unknown field: ${issue.keys?.[0]?.slice(0, 100)}`
      : otherwise;
}
