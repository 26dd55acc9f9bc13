/**
 * The graph of a workflow as Kapso sends it: read as JSON, edited as text. Everything that is not edited is
 * sent back byte for byte, including fields that this project does not know.
 *
 * @module
 */
import { applyEdits, findNodeAtLocation, type JSONPath, modify, parseTree } from "jsonc-parser";
import * as z from "zod";
import { parseJson } from "../_shared/http/json.ts";

const looseObject = z.record(z.string(), z.unknown());

const graph = z.object({
  nodes: z.array(z.looseObject({
    id: z.string().min(1),
    data: z.looseObject({
      node_type: z.string(),
      config: looseObject.nullish(),
      display_name: z.string().nullish(),
    }),
  })),
  edges: z.array(z.unknown()),
});

/** A node of the graph. */
export interface WorkflowNode {
  id: string;
  /** `agent`, `decide`, `send_text`, … */
  type: string;
  /** The name people see in the editor, or the id. */
  name: string;
  config: Record<string, unknown>;
  /** Path of its config in Kapso's answer. */
  configPath: JSONPath;
}

/** A graph and the text it was read from. */
export interface WorkflowGraph {
  /** Kapso's whole answer. */
  text: string;
  /** Path of `definition` in it. */
  path: JSONPath;
  nodes: WorkflowNode[];
}

/**
 * Reads a definition from Kapso's answer, `{"data": {"definition": {"nodes", "edges"}}}` with or without
 * `data`.
 *
 * @returns undefined for any other shape, and where two nodes share an id.
 */
export function readGraph(text: string): WorkflowGraph | undefined {
  const answer = parseJson(text);
  for (const path of [["data", "definition"], ["definition"]]) {
    const parsed = graph.safeParse(path.reduce<unknown>(child, answer));
    if (!parsed.success) continue;
    const nodes = parsed.data.nodes.map((node, index): WorkflowNode => ({
      id: node.id,
      type: node.data.node_type,
      name: node.data.display_name || node.id,
      config: node.data.config ?? {},
      configPath: [...path, "nodes", index, "data", "config"],
    }));
    if (new Set(nodes.map(({ id }) => id)).size !== nodes.length) return undefined;
    return { text, path, nodes };
  }
  return undefined;
}

/** A value to write at a path of the answer. */
export interface Edit {
  path: JSONPath;
  value: string | number | null;
}

/** The text of the definition with the edits applied and every other byte unchanged. */
export function editDefinition({ text, path }: WorkflowGraph, edits: readonly Edit[]): string {
  const tree = parseTree(text)!;
  const exists = ({ path }: Edit) => findNodeAtLocation(tree, path) !== undefined;
  const replaced = edits.filter(exists);
  const added = edits.filter((edit) => !exists(edit));
  // All at once: parsing a large text again for each of a hundred values takes a second.
  const before = applyEdits(
    text,
    replaced.map((edit) => {
      const { offset, length } = findNodeAtLocation(tree, edit.path)!;
      return { offset, length, content: JSON.stringify(edit.value) };
    }),
  );
  // New fields shift each other, so they are added one by one.
  const edited = added.reduce(
    (all, edit) => applyEdits(all, modify(all, edit.path, edit.value, {})),
    before,
  );
  const { offset, length } = findNodeAtLocation(parseTree(edited)!, path)!;
  return edited.slice(offset, offset + length);
}

function child(value: unknown, key: string | number): unknown {
  return typeof value === "object" && value !== null
    ? (value as Record<string | number, unknown>)[key]
    : undefined;
}
