/**
 * Kapso's workflows: metadata with a lock version, a graph that is replaced as a whole, and executions.
 *
 * @module
 */

// deno-lint-ignore-file camelcase -- these are the names of the wire

import type { Context, Hono } from "hono";
import { is, NO_PAGES, readBody, refuse } from "./answers.ts";
import type { FakeKapso } from "./controls.ts";
import { iso } from "./payloads.ts";
import type { JsonObject, Workflow, WorkflowExecution } from "./state.ts";

const PATH = "/platform/v1/workflows";
const EXECUTIONS = "/platform/v1/workflow_executions";
const STATUSES = ["draft", "active", "archived"];

/** Adds the routes of workflows. */
export function addWorkflowRoutes(app: Hono, fake: FakeKapso): void {
  const { state, clock } = fake;
  for (const path of [PATH, `${PATH}/*`, `${EXECUTIONS}/*`]) {
    app.use(path, async (_, next) => {
      const status = fake.workflowRefusal;
      if (status !== null) {
        return refuse(status, status === 401 ? "Invalid API key" : "Not allowed for this API key");
      }
      await next();
    });
  }
  const workflowOf = (context: Context): Workflow =>
    state.workflows.get(context.req.param("id") ?? "") ?? refuse(404, "Workflow not found");
  const executionOf = (context: Context): WorkflowExecution =>
    state.executions.get(context.req.param("id") ?? "") ??
      refuse(404, "Workflow execution not found");

  app.get("/platform/v1/provider_models", (context) => context.json({ data: state.models }));
  app.get(PATH, (context) => {
    const { status, name_contains = "" } = context.req.query();
    const rows = [...state.workflows.values()].filter((workflow) =>
      is(status, workflow.status) &&
      workflow.name.toLowerCase().includes(name_contains.toLowerCase())
    );
    return context.json({ data: rows.map(workflowRow) });
  });
  app.post(PATH, async (context) => {
    const body = workflowIn(await readBody(context));
    if (typeof body.name !== "string" || body.name === "") {
      return refuse(422, "Name can't be blank");
    }
    const graph = readGraph(body);
    const workflow = fake.addWorkflow({ name: body.name, ...graph });
    change(workflow, body);
    return context.json({ data: workflowRow(workflow) }, 201);
  });
  app.get(`${PATH}/:id`, (context) => context.json({ data: workflowRow(workflowOf(context)) }));
  app.get(`${PATH}/:id/definition`, (context) => {
    const workflow = workflowOf(context);
    const { nodes, edges } = workflow;
    return context.json({ data: { ...workflowRow(workflow), definition: { nodes, edges } } });
  });
  app.get(`${PATH}/:id/variables`, (context) => {
    workflowOf(context);
    return context.json({ data: [] });
  });
  app.patch(`${PATH}/:id`, async (context) => {
    const workflow = workflowOf(context);
    const body = workflowIn(await readBody(context));
    const isStale = body.lock_version !== undefined &&
      Number(body.lock_version) !== workflow.lockVersion;
    if (isStale && fake.checksLockVersion) {
      return refuse(409, "The workflow was changed by another user", { code: "stale_object" });
    }
    const graph = readGraph(body);
    change(workflow, body);
    Object.assign(workflow, graph);
    workflow.lockVersion++;
    workflow.updatedAt = clock.now();
    return context.json({ data: workflowRow(workflow) });
  });

  app.get(
    `${PATH}/:id/triggers`,
    (context) => context.json({ data: workflowOf(context).triggers }),
  );
  app.get(`${PATH}/:id/executions`, (context) => {
    const workflow = workflowOf(context);
    const { status, whatsapp_conversation_id } = context.req.query();
    const rows = [...state.executions.values()].filter((execution) =>
      execution.workflow === workflow && is(status, execution.status) &&
      is(whatsapp_conversation_id, execution.conversationId)
    );
    return context.json({ data: rows.map(executionRow).reverse(), paging: NO_PAGES });
  });
  app.get(
    `${EXECUTIONS}/:id`,
    (context) => context.json({ data: executionRow(executionOf(context)) }),
  );
  app.patch(`${EXECUTIONS}/:id`, async (context) => {
    const execution = executionOf(context);
    const body = await readBody(context);
    const { status } = (body.workflow_execution ?? body) as JsonObject;
    if (status !== "ended" && status !== "handoff" && status !== "waiting") {
      return refuse(422, "Status is not included in the list");
    }
    if (execution.status === "ended" || execution.status === "failed") {
      return refuse(422, "The execution has ended");
    }
    execution.status = status;
    execution.updatedAt = clock.now();
    return context.json({ data: executionRow(execution) });
  });
}

/** Reads the workflow of a body, also under its earlier name. */
function workflowIn(body: JsonObject): JsonObject {
  const inner = body.workflow ?? body.flow;
  if (typeof inner === "object" && inner !== null) return inner as JsonObject;
  return refuse(400, "param is missing or the value is empty: workflow");
}

function change(workflow: Workflow, body: JsonObject): void {
  const { name, description, status, message_debounce_seconds, inbound_message_read_mode } = body;
  if (status !== undefined && !STATUSES.includes(String(status))) {
    return refuse(422, "Status is not included in the list");
  }
  if (name !== undefined && (typeof name !== "string" || name === "")) {
    return refuse(422, "Name can't be blank");
  }
  if (typeof name === "string") workflow.name = name;
  if (description !== undefined) workflow.description = description as string | null;
  if (status !== undefined) workflow.status = status as Workflow["status"];
  if (typeof message_debounce_seconds === "number") {
    workflow.messageDebounceSeconds = message_debounce_seconds;
  }
  if (typeof inbound_message_read_mode === "string") {
    workflow.inboundMessageReadMode = inbound_message_read_mode;
  }
}

/**
 * Reads the given nodes and edges: each list replaces the whole old one. A node without a type becomes a start
 * node, as Kapso does without an error.
 */
function readGraph(body: JsonObject): { nodes?: JsonObject[]; edges?: JsonObject[] } {
  const definition = body.definition as JsonObject | undefined;
  if (definition === undefined) return {};
  const { nodes, edges } = definition;
  for (const list of [nodes, edges]) {
    if (list !== undefined && !Array.isArray(list)) return refuse(422, "Definition is invalid");
  }
  const read = (nodes as JsonObject[] | undefined)?.map((node) => {
    const data = (node.data ?? {}) as JsonObject;
    return data.node_type === undefined && node.node_type === undefined
      ? { ...node, data: { ...data, node_type: "start" } }
      : node;
  });
  const ids = new Set(read?.map(({ id }) => id));
  const isDangling = read !== undefined &&
    (edges as JsonObject[] | undefined ?? []).some((edge) =>
      !ids.has(edge.source) || !ids.has(edge.target)
    );
  if (isDangling) return refuse(422, "An edge leads to a node that does not exist");
  const labelled = (edges as JsonObject[] | undefined)?.map((edge) => ({ label: "next", ...edge }));
  return {
    ...(read === undefined ? {} : { nodes: read }),
    ...(labelled === undefined ? {} : { edges: labelled }),
  };
}

function workflowRow(workflow: Workflow): JsonObject {
  return {
    id: workflow.id,
    name: workflow.name,
    description: workflow.description,
    status: workflow.status,
    lock_version: workflow.lockVersion,
    message_debounce_seconds: workflow.messageDebounceSeconds,
    inbound_message_read_mode: workflow.inboundMessageReadMode,
    created_at: iso(workflow.createdAt),
    updated_at: iso(workflow.updatedAt),
  };
}

function executionRow(execution: WorkflowExecution): JsonObject {
  return {
    id: execution.id,
    workflow_id: execution.workflow.id,
    status: execution.status,
    whatsapp_conversation_id: execution.conversationId ?? null,
    created_at: iso(execution.createdAt),
    updated_at: iso(execution.updatedAt),
  };
}
