/**
 * Finds the ids of models at Kapso by their names.
 *
 * @module
 */
import * as z from "zod";
import type { WorkflowProblem } from "../_shared/contracts/workflow_settings.ts";
import { KapsoError } from "../_shared/kapso/api/client.ts";
import type { WorkflowGraph } from "./definition.ts";
import type { KapsoWorkflows } from "./kapso.ts";
import { isModel, type ManagedField, type Model, modelsIn } from "./managed_fields.ts";

/** Fields that may hold a model's name, in order of preference: Kapso does not document its list. */
const NAME_FIELDS = ["name", "model_name", "model", "slug", "identifier"];

/**
 * Finds the models that have to be written.
 *
 * @returns A model for each name, and a problem for each name that no model or more than one has.
 * @throws {KapsoError} where Kapso's list cannot be read.
 */
export async function resolveModels(
  kapso: KapsoWorkflows,
  graph: WorkflowGraph,
  fields: readonly ManagedField[],
  signal: AbortSignal,
): Promise<{ models: Map<string, Model>; problems: WorkflowProblem[] }> {
  const models = new Map<string, Model>();
  const problems: WorkflowProblem[] = [];
  const wanted = fields.filter((field) => field.name === "ai_model" && !field.isSame);
  let offered: Model[] | undefined;
  for (const { settings, node } of wanted) {
    const name = String(settings);
    if (models.has(name)) continue;
    let found = pick(name, modelsIn(graph));
    if (found.length !== 1) found = pick(name, offered ??= await listModels(kapso, signal));
    // An id is written without a look-up: Kapso refuses unknown ids.
    if (found.length === 0 && z.guid().safeParse(name).success) found = [{ id: name, name: "" }];
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

/** The models with exactly this id or name, else those whose name ends with it. */
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
    // Kapso's API documentation does not mention this path.
    if (error instanceof KapsoError && error.status === 404) return [];
    throw error;
  }
}
