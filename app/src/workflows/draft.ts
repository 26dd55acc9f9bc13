/**
 * A setting while it is edited: the texts of the fields, and the changes to save.
 *
 * @module
 */

import type { WorkflowSetting, WorkflowValues } from "../api/rows.ts";

/** Fields of a setting, in the order in which they are shown. */
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

/** The fields of the form. */
export interface Draft {
  ai_model: string;
  system_prompt: string;
  temperature: string;
  max_tokens: string;
  keywords: string[];
  auto_reply_templates: { name: string; text: string }[];
  connection_id: string;
  kapso_workflow_id: string;
  kapso_workflow_name: string;
  agent_nodes: string[];
  keyword_conditions: { node_id: string; label: string }[];
}

/** Props of every part of the form. */
export interface FormPartProps {
  draft: Draft;
  onChange: (changed: Partial<Draft>) => void;
}

/** The initial content of the form. */
export function draftOf(setting: WorkflowSetting | undefined): Draft {
  return {
    ai_model: setting?.ai_model ?? "",
    system_prompt: setting?.system_prompt ?? "",
    temperature: String(setting?.temperature ?? ""),
    max_tokens: String(setting?.max_tokens ?? ""),
    keywords: setting?.keywords ?? [],
    auto_reply_templates: Object.entries(setting?.auto_reply_templates ?? {})
      .map(([name, text]) => ({ name, text })),
    connection_id: setting?.connection_id ?? "",
    kapso_workflow_id: setting?.kapso_workflow_id ?? "",
    kapso_workflow_name: setting?.kapso_workflow_name ?? "",
    agent_nodes: setting?.kapso_mapping.agent_nodes ?? [],
    keyword_conditions: setting?.kapso_mapping.keyword_conditions ?? [],
  };
}

/** The changed fields, as they are saved. The server validates them. */
export function changesOf(
  draft: Draft,
  setting: WorkflowSetting | undefined,
): Partial<WorkflowValues> {
  const before = valuesOf(draftOf(setting));
  const changed = Object.entries(valuesOf(draft)).filter(([field, value]) =>
    JSON.stringify(value) !== JSON.stringify(before[field as keyof WorkflowValues])
  );
  return Object.fromEntries(changed);
}

/** A name that two automatic replies share: one of them would be lost. */
export function doubleName({ auto_reply_templates: replies }: Draft): string | undefined {
  const names = replies.map(({ name }) => name.trim()).filter(Boolean);
  return names.find((name, index) => names.indexOf(name) !== index);
}

function valuesOf(draft: Draft): WorkflowValues {
  return {
    ai_model: textOf(draft.ai_model),
    // Spaces and line breaks at the edges of a prompt are intended.
    system_prompt: draft.system_prompt === "" ? null : draft.system_prompt,
    temperature: numberOf(draft.temperature),
    max_tokens: numberOf(draft.max_tokens),
    keywords: draft.keywords,
    auto_reply_templates: Object.fromEntries(
      draft.auto_reply_templates
        .filter(({ name, text }) => name.trim() !== "" || text !== "")
        .map(({ name, text }) => [name.trim(), text]),
    ),
    connection_id: draft.connection_id || null,
    kapso_workflow_id: textOf(draft.kapso_workflow_id),
    kapso_workflow_name: textOf(draft.kapso_workflow_name),
    kapso_mapping: {
      agent_nodes: draft.agent_nodes.map((id) => id.trim()).filter(Boolean),
      keyword_conditions: draft.keyword_conditions
        .filter(({ node_id, label }) => node_id.trim() !== "" || label.trim() !== "")
        .map(({ node_id, label }) => ({ node_id: node_id.trim(), label: label.trim() })),
    },
  };
}

function textOf(text: string): string | null {
  return text.trim() || null;
}

function numberOf(text: string): number | null {
  if (text.trim() === "") return null;
  const value = Number(text.trim().replace(",", "."));
  // Text that is not a number is sent as typed, so that the server can refuse it.
  return Number.isNaN(value) ? text as unknown as number : value;
}
