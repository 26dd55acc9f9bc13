/**
 * What a person does in Kapso's dashboard where no program may: steps, and the workflow as JSON. Pure.
 *
 * @module
 */
import { editDefinition, type WorkflowGraph } from "./definition.ts";
import { keywordDescription } from "./keywords.ts";
import type { Setting } from "./store.ts";
import { editsOf, type Model, type Problem, type Target } from "./editable_fields.ts";

/** A step; `value` is what to paste in it. */
export interface Step {
  number: number;
  text: string;
  value: string | null;
}

/** Instructions for a person. */
export interface Manual {
  steps: Step[];
  /** A workflow for Kapso's importer or API. */
  workflow_json: unknown;
}

/** What was read of the workflow, where it could be read. */
export interface Known {
  graph: WorkflowGraph;
  targets: readonly Target[];
  models: ReadonlyMap<string, Model>;
}

/**
 * Instructions for a setting.
 *
 * @param known What was read of the workflow, where it could be read.
 * @param problems What has to be put right first.
 */
export function writeManual(
  setting: Setting,
  known: Known | undefined,
  problems: readonly Problem[],
): Manual {
  const steps = known === undefined || problems.length > 0
    ? stepsOf(setting, problems)
    : stepsForTargets(known.targets);
  const workflow = setting.kapso_workflow_name ?? setting.workflow_type;
  const id = setting.kapso_workflow_id;
  return {
    steps: [
      {
        text: id === null
          ? "Open the Kapso dashboard, then Workflows. Create a workflow with this name, or import the JSON below"
          : `Open the Kapso dashboard, then Workflows, then the workflow with the id ${id}`,
        value: id === null ? workflow : null,
      },
      ...steps,
      { text: "Save the workflow, and activate it if it is a draft", value: null },
      ...(id === null
        ? [{
          text:
            "Choose the workflow in this setting, or copy the id from its address into it (kapso_workflow_id), and save",
          value: null,
        }]
        : []),
      { text: 'Come back here and choose "I have updated Kapso"', value: null },
    ].map((step, index) => ({ number: index + 1, ...step })),
    workflow_json: known !== undefined && problems.length === 0
      ? JSON.parse(editDefinition(known.graph, editsOf(known.targets, known.models)))
      : buildWorkflow(setting),
  };
}

type UnnumberedStep = Omit<Step, "number">;

/** For a workflow that was read: the fields that differ, where they are. */
function stepsForTargets(targets: readonly Target[]): UnnumberedStep[] {
  return targets.filter(({ isSame }) => !isSame).map(({ node, field, label, settings }) => {
    const which = node.name === node.id ? node.id : `"${node.name}" (${node.id})`;
    return {
      text: label === null
        ? `Select the node ${which} and set its ${FIELD_NAMES[field]} to this`
        : `Select the node ${which} and give its condition "${label}" this description`,
      value: String(settings),
    };
  });
}

/** For a workflow that cannot be read, or not all of it. */
function stepsOf(setting: Setting, problems: readonly Problem[]): UnnumberedStep[] {
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

/** A workflow from nothing: the agent, behind the conditions where there are keywords. */
function buildWorkflow(setting: Setting): unknown {
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
  // A text that has the name of a condition answers it; what has none goes to the agent.
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
