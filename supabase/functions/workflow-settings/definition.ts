/**
 * The graph of a workflow as Kapso sends it: read as JSON, changed as text. Whatever is not changed on
 * purpose goes back as the bytes that came, also what this project knows nothing of.
 *
 * @module
 */
import { applyEdits, findNodeAtLocation, type JSONPath, modify, parseTree } from "jsonc-parser";
import * as z from "zod";

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
  /** Where its config is in the answer. */
  configPath: JSONPath;
}

/** A graph, and the text it was read from. */
export interface WorkflowGraph {
  /** Kapso's whole answer. */
  text: string;
  /** Where `definition` is in it. */
  path: JSONPath;
  nodes: WorkflowNode[];
}

/**
 * Read Kapso's answer to a question for a definition: `{"data": {"definition": {"nodes", "edges"}}}`, or
 * the same without `data`.
 *
 * @returns undefined for anything else, and where two nodes have one id.
 */
export function readGraph(text: string): WorkflowGraph | undefined {
  const answer = parse(text);
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

/** A value to put somewhere into an answer. */
export interface Edit {
  path: JSONPath;
  value: string | number | null;
}

/** The text of the definition, with some values replaced and every other byte as it came. */
export function editDefinition({ text, path }: WorkflowGraph, edits: readonly Edit[]): string {
  const tree = parseTree(text)!;
  const [replaced, added] = [true, false].map((isThere) =>
    edits.filter((edit) => (findNodeAtLocation(tree, edit.path) !== undefined) === isThere)
  ) as [Edit[], Edit[]];
  // All at once: reading a large text anew for each of a hundred values takes a second.
  const before = applyEdits(
    text,
    replaced.map((edit) => {
      const { offset, length } = findNodeAtLocation(tree, edit.path)!;
      return { offset, length, content: JSON.stringify(edit.value) };
    }),
  );
  // Fields that are not there yet go behind each other.
  const edited = added.reduce(
    (all, edit) => applyEdits(all, modify(all, edit.path, edit.value, {})),
    before,
  );
  const { offset, length } = findNodeAtLocation(parseTree(edited)!, path)!;
  return edited.slice(offset, offset + length);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function child(value: unknown, key: string | number): unknown {
  return typeof value === "object" && value !== null
    ? (value as Record<string | number, unknown>)[key]
    : undefined;
}
