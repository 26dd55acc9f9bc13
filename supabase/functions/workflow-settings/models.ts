/**
 * From the name of a model to its id at Kapso.
 *
 * @module
 */
import { KapsoError } from "../_shared/kapso/api/client.ts";
import type { WorkflowGraph } from "./definition.ts";
import type { KapsoWorkflows } from "./kapso.ts";
import { isModel, type Model, modelsIn, type Problem, type Target } from "./editable_fields.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Kapso does not document the rows of its list. What they are called in is tried in this order. */
const NAME_FIELDS = ["name", "model_name", "model", "slug", "identifier"];

/**
 * Find the models that have to be written.
 *
 * @returns a model for each name, and a problem for each name that is nobody's, or more than one's.
 * @throws {KapsoError} where Kapso's list cannot be read.
 */
export async function resolveModels(
  kapso: KapsoWorkflows,
  graph: WorkflowGraph,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<{ models: Map<string, Model>; problems: Problem[] }> {
  const models = new Map<string, Model>();
  const problems: Problem[] = [];
  const wanted = targets.filter(({ field, isSame }) => field === "ai_model" && !isSame);
  let offered: Model[] | undefined;
  for (const { settings, node } of wanted) {
    const name = String(settings);
    if (models.has(name)) continue;
    let found = pick(name, modelsIn(graph));
    if (found.length !== 1) found = pick(name, offered ??= await listModels(kapso, signal));
    // An id is taken as it is: Kapso refuses one that it does not know.
    if (found.length === 0 && UUID.test(name)) found = [{ id: name, name: "" }];
    if (found.length === 1) models.set(name, found[0]!);
    else {
      problems.push({
        code: "unknown_model",
        node_id: node.id,
        message: found.length === 0
          ? `Kapso offers no model ${name} to this project`
          : `Kapso offers more than one model ${name}: ${
            found.map((model) => model.name).join(", ")
          }`,
      });
    }
  }
  return { models, problems };
}

/** Those that are meant: of a full name the one that has it, else all whose last part it is. */
function pick(wanted: string, models: readonly Model[]): Model[] {
  const different = [...new Map(models.map((model) => [model.id, model])).values()];
  const exact = different.filter(({ id, name }) => id === wanted || name === wanted);
  return exact.length > 0 ? exact : different.filter((model) => isModel(wanted, model));
}

async function listModels(kapso: KapsoWorkflows, signal: AbortSignal): Promise<Model[]> {
  try {
    const rows = await kapso.listProviderModels({ signal });
    return rows.flatMap((row) => {
      const name = NAME_FIELDS.map((field) => row[field]).find((value) =>
        typeof value === "string"
      );
      return typeof row.id === "string" && typeof name === "string" ? [{ id: row.id, name }] : [];
    });
  } catch (error) {
    // The path is not in Kapso's documentation of the API.
    if (error instanceof KapsoError && error.status === 404) return [];
    throw error;
  }
}
