/**
 * What of a workflow belongs to a setting: for each field of each mapped node, what the setting wants and
 * what Kapso has. Pure.
 *
 * @module
 */
import type { JSONPath } from "jsonc-parser";
import type { ManagedValues, SettingValues } from "../_shared/contracts/workflow_setting.ts";
import type { Edit, WorkflowGraph, WorkflowNode } from "./definition.ts";
import { keywordDescription } from "./keywords.ts";

/** What a difference is about. */
export type Field = "ai_model" | "system_prompt" | "temperature" | "max_tokens" | "keywords";

/** A value at Kapso that a setting determines. */
export interface Target {
  node: WorkflowNode;
  field: Field;
  /** Of a condition, else null. */
  label: string | null;
  /** Its key in {@linkcode ManagedValues}. */
  key: string;
  settings: string | number;
  kapso: string | number | null;
  /** Where it is written. For a model: where its config is. */
  path: JSONPath;
  isSame: boolean;
}

/** Why something cannot be done by program. */
export interface Problem {
  code: string;
  node_id: string | null;
  message: string;
}

/** A model that Kapso offers. */
export interface Model {
  id: string;
  name: string;
}

/** Values of a setting that live at Kapso. */
export type WantedValues =
  & Pick<
    SettingValues,
    "ai_model" | "system_prompt" | "temperature" | "max_tokens"
  >
  & {
    keywords: string[];
    kapso_mapping: NonNullable<SettingValues["kapso_mapping"]>;
  };

const AGENT_FIELDS = ["system_prompt", "temperature", "max_tokens"] as const;

/** Find what a setting determines in a workflow, and what does not fit. */
export function findTargets(
  graph: WorkflowGraph,
  wanted: WantedValues,
): { targets: Target[]; problems: Problem[] } {
  const targets: Target[] = [];
  const problems: Problem[] = [];
  const hasAgentValues = wanted.ai_model !== null ||
    AGENT_FIELDS.some((field) => wanted[field] !== null);
  if (hasAgentValues) {
    for (const node of agentNodes(graph, wanted.kapso_mapping.agent_nodes, problems)) {
      readAgent(node, wanted, targets, problems);
    }
  }
  if (wanted.keywords.length > 0) {
    for (const condition of wanted.kapso_mapping.keyword_conditions) {
      readCondition(graph, condition, wanted.keywords, targets, problems);
    }
  }
  problems.push(...hiddenCredentials(graph));
  return { targets, problems };
}

function agentNodes(
  graph: WorkflowGraph,
  ids: readonly string[],
  problems: Problem[],
): WorkflowNode[] {
  if (ids.length === 0) {
    const agents = graph.nodes.filter(({ type }) => type === "agent");
    if (agents.length === 1) return agents;
    problems.push(
      agents.length === 0
        ? {
          code: "no_agent_node",
          node_id: null,
          message: "The workflow has no agent node: add one at Kapso, or empty the agent's values",
        }
        : {
          code: "several_agent_nodes",
          node_id: null,
          message: `The workflow has several agent nodes (${
            agents.map(({ id }) => id).join(", ")
          }): name those that are meant in kapso_mapping.agent_nodes`,
        },
    );
    return [];
  }
  return [...new Set(ids)].flatMap((id) => {
    const node = graph.nodes.find((each) => each.id === id);
    if (node?.type === "agent") return [node];
    problems.push(
      node
        ? { code: "not_an_agent_node", node_id: id, message: `${id} is no agent node` }
        : { code: "node_not_found", node_id: id, message: `The workflow has no node ${id}` },
    );
    return [];
  });
}

function readAgent(
  node: WorkflowNode,
  wanted: WantedValues,
  targets: Target[],
  problems: Problem[],
): void {
  const doesNotFit = (field: string) =>
    problems.push({
      code: "field_does_not_fit",
      node_id: node.id,
      message: `config.${field} of ${node.id} is of an unexpected kind`,
    });
  if (wanted.ai_model !== null) {
    const { provider_model_id: id = null, provider_model_name: name = null } = node.config;
    if (!isTextOrNull(id) || !isTextOrNull(name)) doesNotFit("provider_model_id");
    else {
      targets.push({
        node,
        field: "ai_model",
        label: null,
        key: "ai_model",
        settings: wanted.ai_model,
        kapso: name ?? id,
        path: node.configPath,
        isSame: isModel(wanted.ai_model, { id: id ?? "", name: name ?? "" }),
      });
    }
  }
  for (const field of AGENT_FIELDS) {
    const settings = wanted[field];
    if (settings === null) continue;
    const kapso = node.config[field] ?? null;
    if (kapso !== null && typeof kapso !== typeof settings) doesNotFit(field);
    else {
      targets.push({
        node,
        field,
        label: null,
        key: field,
        settings,
        kapso: kapso as string | number | null,
        path: [...node.configPath, field],
        isSame: isSameValue(settings, kapso),
      });
    }
  }
}

function readCondition(
  graph: WorkflowGraph,
  { node_id: id, label }: { node_id: string; label: string },
  keywords: readonly string[],
  targets: Target[],
  problems: Problem[],
): void {
  const refuse = (fault: Omit<Problem, "node_id">) => void problems.push({ ...fault, node_id: id });
  const node = graph.nodes.find((each) => each.id === id);
  if (!node) return refuse({ code: "node_not_found", message: `The workflow has no node ${id}` });
  if (node.type !== "decide") {
    return refuse({ code: "not_a_decide_node", message: `${id} is no decide node` });
  }
  const { decision_type: decision, conditions } = node.config;
  if (decision !== "ai" && decision !== "decision_model") {
    return refuse({
      code: "not_decided_by_ai",
      message: `${id} asks a function: change the keywords in the function's code`,
    });
  }
  const places = Array.isArray(conditions)
    ? conditions.flatMap((each, place) => each?.label === label ? [place] : [])
    : [];
  if (places.length !== 1) {
    return refuse({
      code: "condition_not_found",
      message: `${id} has ${
        places.length === 0 ? "no" : "more than one"
      } condition with the label ${label}`,
    });
  }
  const place = places[0]!;
  const kapso = (conditions as Record<string, unknown>[])[place]!.description ?? null;
  if (!isTextOrNull(kapso)) {
    return refuse({
      code: "field_does_not_fit",
      message: `The description of the condition ${label} of ${id} is no text`,
    });
  }
  const settings = keywordDescription(keywords);
  targets.push({
    node,
    field: "keywords",
    label,
    key: `keywords:${label}`,
    settings,
    kapso,
    path: [...node.configPath, "conditions", place, "description"],
    isSame: isSameValue(settings, kapso),
  });
}

/** Nodes are replaced as a whole, and Kapso never tells the tokens it keeps for repositories. */
function hiddenCredentials(graph: WorkflowGraph): Problem[] {
  return graph.nodes
    .filter(({ config }) => {
      const resources = config.flow_agent_resources;
      return Array.isArray(resources) &&
        resources.some((resource) => resource?.has_pat === true || resource?.auth_type === "pat");
    })
    .map(({ id }) => ({
      code: "has_hidden_credentials",
      node_id: id,
      message:
        `${id} has a repository with an access token that Kapso does not tell: it would be lost`,
    }));
}

/** What to write for targets that differ. `models` has a model for each name that is wanted. */
export function editsOf(targets: readonly Target[], models: ReadonlyMap<string, Model>): Edit[] {
  return targets.filter(({ isSame }) => !isSame).flatMap((target): Edit[] => {
    if (target.field !== "ai_model") return [{ path: target.path, value: target.settings }];
    const model = models.get(String(target.settings))!;
    return [
      { path: [...target.path, "provider_model_id"], value: model.id },
      // Beside the id it is a label; where it is not, it is not needed.
      ...("provider_model_name" in target.node.config
        ? [{ path: [...target.path, "provider_model_name"], value: model.name || null }]
        : []),
    ];
  });
}

/** Models that the graph itself names. */
export function modelsIn(graph: WorkflowGraph): Model[] {
  return graph.nodes.flatMap(({ config: { provider_model_id: id, provider_model_name: name } }) =>
    typeof id === "string" && typeof name === "string" ? [{ id, name }] : []
  );
}

/** Whether a model is the one somebody named: by its id, its name, or the last part of that. */
export function isModel(wanted: string, { id, name }: Model): boolean {
  const [text, full] = [wanted.toLowerCase(), name.toLowerCase()];
  return text === id.toLowerCase() || text === full || full.endsWith(`/${text}`);
}

/** What Kapso has, by node and key. */
export function valuesAtKapso(targets: readonly Target[]): ManagedValues {
  const values = new Map<string, [string, string | number | null][]>();
  for (const { node, key, kapso } of targets) {
    values.set(node.id, [...values.get(node.id) ?? [], [key, kapso]]);
  }
  return Object.fromEntries([...values].map(([id, fields]) => [id, Object.fromEntries(fields)]));
}

/** Equal, but for the line ends and outer blanks that editors change on their way. */
export function isSameValue(one: unknown, other: unknown): boolean {
  const plain = (value: unknown) =>
    typeof value === "string" ? value.replaceAll("\r\n", "\n").trim() : value ?? null;
  return plain(one) === plain(other);
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}
