/**
 * The fields of a workflow at Kapso that a setting manages, each with the setting's value and Kapso's. Pure.
 *
 * @module
 */
import type { JSONPath } from "jsonc-parser";
import type { ManagedFieldName, WorkflowProblem } from "../_shared/contracts/workflow_settings.ts";
import type { ManagedValues, WorkflowValues } from "../_shared/contracts/workflow_values.ts";
import type { Edit, WorkflowGraph, WorkflowNode } from "./definition.ts";
import { keywordDescription } from "./keywords.ts";

/** A field at Kapso that a setting manages. */
export interface ManagedField {
  node: WorkflowNode;
  name: ManagedFieldName;
  /** Of a condition, else null. */
  label: string | null;
  /** Its key in {@linkcode ManagedValues}. */
  key: string;
  settings: string | number;
  kapso: string | number | null;
  /** Path of the field in Kapso's answer; of a model, the path of the node's config. */
  path: JSONPath;
  isSame: boolean;
}

/** A model that Kapso offers. */
export interface Model {
  id: string;
  name: string;
}

/** Values of a setting that are written to Kapso. */
export type WantedValues = Pick<WorkflowValues, ManagedFieldName | "kapso_mapping">;

const AGENT_FIELDS = ["system_prompt", "temperature", "max_tokens"] as const;

/** Finds the fields that a setting manages in a workflow, and why some cannot be managed. */
export function findManagedFields(
  graph: WorkflowGraph,
  wanted: WantedValues,
): { fields: ManagedField[]; problems: WorkflowProblem[] } {
  const fields: ManagedField[] = [];
  const problems: WorkflowProblem[] = [];
  const hasAgentValues = wanted.ai_model !== null ||
    AGENT_FIELDS.some((field) => wanted[field] !== null);
  if (hasAgentValues) {
    for (const node of agentNodes(graph, wanted.kapso_mapping.agent_nodes, problems)) {
      readAgent(node, wanted, fields, problems);
    }
  }
  if (wanted.keywords.length > 0) {
    for (const condition of wanted.kapso_mapping.keyword_conditions) {
      readCondition(graph, condition, wanted.keywords, fields, problems);
    }
  }
  problems.push(...hiddenCredentials(graph));
  return { fields, problems };
}

function agentNodes(
  graph: WorkflowGraph,
  ids: readonly string[],
  problems: WorkflowProblem[],
): WorkflowNode[] {
  if (ids.length === 0) {
    const agents = graph.nodes.filter(({ type }) => type === "agent");
    if (agents.length === 1) return agents;
    problems.push(
      agents.length === 0
        ? {
          code: "no_agent_node",
          node_id: null,
          message: "The workflow has no agent node: add one at Kapso, or clear the agent's values",
        }
        : {
          code: "several_agent_nodes",
          node_id: null,
          message: `The workflow has several agent nodes (${
            agents.map(({ id }) => id).join(", ")
          }): list the ones to manage in kapso_mapping.agent_nodes`,
        },
    );
    return [];
  }
  return [...new Set(ids)].flatMap((id) => {
    const node = graph.nodes.find((each) => each.id === id);
    if (node?.type === "agent") return [node];
    problems.push(
      node
        ? { code: "not_an_agent_node", node_id: id, message: `${id} is not an agent node` }
        : { code: "node_not_found", node_id: id, message: `The workflow has no node ${id}` },
    );
    return [];
  });
}

function readAgent(
  node: WorkflowNode,
  wanted: WantedValues,
  fields: ManagedField[],
  problems: WorkflowProblem[],
): void {
  const doesNotFit = (field: string) =>
    problems.push({
      code: "field_does_not_fit",
      node_id: node.id,
      message: `config.${field} of ${node.id} has an unexpected type`,
    });
  if (wanted.ai_model !== null) {
    const { provider_model_id: id = null, provider_model_name: name = null } = node.config;
    if (!isTextOrNull(id) || !isTextOrNull(name)) doesNotFit("provider_model_id");
    else {
      fields.push({
        node,
        name: "ai_model",
        label: null,
        key: "ai_model",
        settings: wanted.ai_model,
        kapso: name ?? id,
        path: node.configPath,
        isSame: isModel(wanted.ai_model, { id: id ?? "", name: name ?? "" }),
      });
    }
  }
  for (const name of AGENT_FIELDS) {
    const settings = wanted[name];
    if (settings === null) continue;
    const kapso = node.config[name] ?? null;
    if (kapso !== null && typeof kapso !== typeof settings) doesNotFit(name);
    else {
      fields.push({
        node,
        name,
        label: null,
        key: name,
        settings,
        kapso: kapso as string | number | null,
        path: [...node.configPath, name],
        isSame: isSameValue(settings, kapso),
      });
    }
  }
}

function readCondition(
  graph: WorkflowGraph,
  { node_id: id, label }: { node_id: string; label: string },
  keywords: readonly string[],
  fields: ManagedField[],
  problems: WorkflowProblem[],
): void {
  const refuse = (problem: Omit<WorkflowProblem, "node_id">) =>
    void problems.push({ ...problem, node_id: id });
  const node = graph.nodes.find((each) => each.id === id);
  if (!node) return refuse({ code: "node_not_found", message: `The workflow has no node ${id}` });
  if (node.type !== "decide") {
    return refuse({ code: "not_a_decide_node", message: `${id} is not a decide node` });
  }
  const { decision_type: decision, conditions } = node.config;
  if (decision !== "ai" && decision !== "decision_model") {
    return refuse({
      code: "not_decided_by_ai",
      message: `${id} decides by a function: change the keywords in the function's code`,
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
      message: `The description of the condition ${label} of ${id} is not text`,
    });
  }
  const settings = keywordDescription(keywords);
  fields.push({
    node,
    name: "keywords",
    label,
    key: `keywords:${label}`,
    settings,
    kapso,
    path: [...node.configPath, "conditions", place, "description"],
    isSame: isSameValue(settings, kapso),
  });
}

/** Nodes are replaced as a whole, and Kapso never returns the access tokens of repositories. */
function hiddenCredentials(graph: WorkflowGraph): WorkflowProblem[] {
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
        `${id} has a repository whose access token Kapso does not return: an update would lose it`,
    }));
}

/**
 * The edits that make the fields equal to the setting.
 *
 * @param models A model for each name that is wanted.
 */
export function editsOf(
  fields: readonly ManagedField[],
  models: ReadonlyMap<string, Model>,
): Edit[] {
  return fields.filter(({ isSame }) => !isSame).flatMap((field): Edit[] => {
    if (field.name !== "ai_model") return [{ path: field.path, value: field.settings }];
    const model = models.get(String(field.settings))!;
    return [
      { path: [...field.path, "provider_model_id"], value: model.id },
      // Only a label beside the id, so it is updated only where the node has it.
      ...("provider_model_name" in field.node.config
        ? [{ path: [...field.path, "provider_model_name"], value: model.name || null }]
        : []),
    ];
  });
}

/** The models that the nodes of the graph use. */
export function modelsIn(graph: WorkflowGraph): Model[] {
  return graph.nodes.flatMap(({ config: { provider_model_id: id, provider_model_name: name } }) =>
    typeof id === "string" && typeof name === "string" ? [{ id, name }] : []
  );
}

/** Whether a text names a model: by its id, its name, or the last part of its name. */
export function isModel(wanted: string, { id, name }: Model): boolean {
  const [text, full] = [wanted.toLowerCase(), name.toLowerCase()];
  return text === id.toLowerCase() || text === full || full.endsWith(`/${text}`);
}

/** Kapso's values, by node and key. */
export function valuesAtKapso(fields: readonly ManagedField[]): ManagedValues {
  const byNode = Map.groupBy(fields, ({ node }) => node.id);
  return Object.fromEntries(
    [...byNode].map(([id, ofNode]) => [
      id,
      Object.fromEntries(ofNode.map(({ key, kapso }) => [key, kapso])),
    ]),
  );
}

/** Whether two values are equal, apart from line ends and surrounding blanks, which editors change. */
export function isSameValue(one: unknown, other: unknown): boolean {
  const plain = (value: unknown) =>
    typeof value === "string" ? value.replaceAll("\r\n", "\n").trim() : value ?? null;
  return plain(one) === plain(other);
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}
