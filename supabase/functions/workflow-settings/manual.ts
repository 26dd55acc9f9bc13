/**
 * Instructions for people where the function cannot update Kapso: steps in Kapso's dashboard, and the
 * workflow as JSON. Pure.
 *
 * @module
 */
import type { WorkflowManual, WorkflowProblem } from "../_shared/contracts/workflow_settings.ts";
import { editDefinition } from "./definition.ts";
import type { ReadWorkflow } from "./finding.ts";
import { keywordDescription } from "./keywords.ts";
import { editsOf, type ManagedField } from "./managed_fields.ts";
import type { Setting } from "./setting.ts";

/**
 * Writes the instructions for a setting.
 *
 * @param workflow The workflow at Kapso; undefined where it could not be read.
 * @param problems What has to be solved first.
 */
export function writeManual(
  setting: Setting,
  workflow: ReadWorkflow | undefined,
  problems: readonly WorkflowProblem[],
): WorkflowManual {
  const steps = workflow === undefined || problems.length > 0
    ? stepsOf(setting, problems)
    : stepsForFields(workflow.fields);
  const name = setting.kapso_workflow_name ?? setting.workflow_type;
  const id = setting.kapso_workflow_id;
  return {
    steps: [
      {
        text: id === null
          ? "Open the Kapso dashboard, then Workflows. Create a workflow with this name, or import the JSON below"
          : `Open the Kapso dashboard, then Workflows, then the workflow with the id ${id}`,
        value: id === null ? name : null,
      },
      ...steps,
      { text: "Save the workflow, and activate it if it is a draft", value: null },
      ...(id === null
        ? [{
          text:
            "Choose the workflow in this setting, or copy its id from its URL into kapso_workflow_id, and save",
          value: null,
        }]
        : []),
      { text: 'Come back here and choose "I have updated Kapso"', value: null },
    ].map((step, index) => ({ number: index + 1, ...step })),
    workflow_json: workflow !== undefined && problems.length === 0
      ? JSON.parse(editDefinition(workflow.graph, editsOf(workflow.fields, workflow.models)))
      : buildWorkflow(setting),
  };
}

type UnnumberedStep = Omit<WorkflowManual["steps"][number], "number">;

/** The steps for a workflow that was read: one for each field that differs. */
function stepsForFields(fields: readonly ManagedField[]): UnnumberedStep[] {
  return fields.filter(({ isSame }) => !isSame).map(({ node, name, label, settings }) => {
    const which = node.name === node.id ? node.id : `"${node.name}" (${node.id})`;
    return {
      text: label === null
        ? `Select the node ${which} and set its ${FIELD_NAMES[name]} to this`
        : `Select the node ${which} and give its condition "${label}" this description`,
      value: String(settings),
    };
  });
}

/** The steps for a workflow that could not be read, or not completely. */
function stepsOf(setting: Setting, problems: readonly WorkflowProblem[]): UnnumberedStep[] {
  const { agent_nodes: ids, keyword_conditions: conditions } = setting.kapso_mapping;
  const agent = ids.length === 0
    ? "Select the agent node"
    : `Select the agent node ${ids.join(", then ")}`;
  return [
    ...problems.map(({ message }) => ({ text: message, value: null })),
    ...(["ai_model", "system_prompt", "temperature", "max_tokens"] as const)
      .flatMap((field) => {
        const value = setting[field];
        return value === null
          ? []
          : [{ text: `${agent} and set its ${FIELD_NAMES[field]} to this`, value: String(value) }];
      }),
    ...(setting.keywords.length === 0 ? [] : conditions.length === 0
      ? [{
        text:
          "Select the decide node, and give the condition that these keywords belong to this description",
        value: keywordDescription(setting.keywords),
      }]
      : conditions.map(({ node_id: id, label }) => ({
        text: `Select the decide node ${id} and give its condition "${label}" this description`,
        value: keywordDescription(setting.keywords),
      }))),
    ...Object.entries(setting.auto_reply_templates).map(([name, text]) => ({
      text: `Put this text into the node that answers "${name}"`,
      value: text,
    })),
  ];
}

const FIELD_NAMES = {
  ai_model: "model",
  system_prompt: "system prompt",
  temperature: "temperature",
  max_tokens: "max tokens",
  keywords: "keywords",
} as const;

/** A new workflow: the agent, after a decision on the keywords where the setting has any. */
function buildWorkflow(setting: Setting): WorkflowManual["workflow_json"] {
  const { agent_nodes: ids, keyword_conditions: conditions } = setting.kapso_mapping;
  const agentId = ids[0] ?? "agent_main";
  const decideId = conditions[0]?.node_id ?? "decide_keywords";
  const labels = setting.keywords.length === 0
    ? []
    : conditions.length === 0
    ? ["keywords"]
    : conditions.filter(({ node_id: id }) => id === decideId).map(({ label }) => label);
  const node = (id: string, type: string, row: number, config: unknown, column = 0) => ({
    id,
    type: "flow-node",
    position: { x: 300 + column * 320, y: 100 + row * 160 },
    data: { node_type: type, config },
  });
  const edge = (source: string, target: string, label = "next") => ({ source, target, label });
  const agent = node(agentId, "agent", labels.length > 0 ? 2 : 1, {
    ...(setting.system_prompt === null ? {} : { system_prompt: setting.system_prompt }),
    ...(setting.ai_model === null ? {} : { provider_model_name: setting.ai_model }),
    ...(setting.temperature === null ? {} : { temperature: setting.temperature }),
    ...(setting.max_tokens === null ? {} : { max_tokens: setting.max_tokens }),
  });
  const start = node("start", "start", 0, {});
  if (labels.length === 0) {
    return { nodes: [start, agent], edges: [edge("start", agentId)] };
  }
  const decide = node(decideId, "decide", 1, {
    decision_type: "ai",
    conditions: [
      ...labels.map((label) => ({ label, description: keywordDescription(setting.keywords) })),
      { label: "otherwise", description: "Everything else" },
    ],
  });
  // The template named like a condition answers it; conditions without one go to the agent.
  const replies = labels.flatMap((label, index) => {
    const message = Object.hasOwn(setting.auto_reply_templates, label)
      ? setting.auto_reply_templates[label]
      : undefined;
    return message === undefined
      ? []
      : [{ label, node: node(`send_text_${index + 1}`, "send_text", 2, { message }, index + 1) }];
  });
  return {
    nodes: [start, decide, agent, ...replies.map((reply) => reply.node)],
    edges: [
      edge("start", decideId),
      ...labels.map((label) =>
        edge(decideId, replies.find((reply) => reply.label === label)?.node.id ?? agentId, label)
      ),
      edge(decideId, agentId, "otherwise"),
    ],
  };
}
