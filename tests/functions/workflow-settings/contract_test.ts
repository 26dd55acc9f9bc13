/**
 * workflow-settings answers as its contract says.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import * as contract from "../../../supabase/functions/_shared/contracts/workflow_settings.ts";
import { ContractCheck } from "../../support/contract.ts";
import { headersOf, newBusiness, useWorld } from "../../support/kapso_sync.ts";
import { call, signUp } from "../../support/users.ts";

const world = useWorld();

Deno.test("every documented request of workflow-settings is answered as documented", async () => {
  const { info, fake } = world.current;
  const check = new ContractCheck(info.api_url, contract);
  const { user, phoneNumber } = await newBusiness(world.current);
  const headers = await headersOf(info, user);
  const [model] = fake.state.models;
  const workflow = fake.addWorkflow({
    name: "Sarah",
    status: "active",
    nodes: [{
      id: "agent_1",
      type: "flow-node",
      position: { x: 0, y: 0 },
      data: {
        node_type: "agent",
        config: {
          system_prompt: "You are a bot.",
          provider_model_id: model!.id,
          provider_model_name: model!.name,
        },
      },
    }],
    edges: [],
  });
  const workspace = { workspace: user.workspaceId };
  const params = { ...workspace, type: "sarah" };

  await check.send(contract.listKapsoWorkflows, { headers, params: workspace, status: 409 });
  const kept = await call(info, `inbox/connections/${phoneNumber.id}/kapso`, {
    method: "PUT",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify({ api_key: fake.apiKey }),
  });
  assertEquals(kept.status, 200);
  await check.send(contract.listKapsoWorkflows, {
    headers,
    params: workspace,
    query: { connection_id: phoneNumber.id },
    status: 200,
  });

  const values = {
    system_prompt: "You are Sarah.",
    keywords: ["price", "harga"],
    auto_reply_templates: { price: "See our list." },
    kapso_mapping: { agent_nodes: ["agent_1"], keyword_conditions: [] },
  };
  const { setting } = await check.send(contract.saveWorkflowSetting, {
    headers,
    params,
    body: values,
    status: 201,
  });
  await check.send(contract.checkWorkflowSetting, { headers, params, status: 200 });
  await check.send(contract.saveWorkflowSetting, {
    headers,
    params,
    body: { version: setting.version, kapso_workflow_id: workflow.id },
    status: 200,
  });
  await check.send(contract.saveWorkflowSetting, { headers, params, body: values, status: 409 });
  await check.send(contract.getWorkflowSetting, { headers, params, status: 200 });
  await check.send(contract.listWorkflowSettings, { headers, params: workspace, status: 200 });
  await check.send(contract.getWorkflowManual, { headers, params, status: 200 });
  const conflict: contract.WorkflowFinding = await check.send(contract.checkWorkflowSetting, {
    headers,
    params,
    status: 200,
  });
  assertEquals([conflict.outcome, conflict.changes.length], ["conflict", 1]);
  const { fingerprint, setting: { version } } = conflict;
  await check.send(contract.syncWorkflowSetting, {
    headers,
    params,
    body: { dry_run: true },
    status: 200,
  });
  await check.send(contract.adoptWorkflow, {
    headers,
    params,
    body: { fingerprint: "0".repeat(32), version },
    status: 409,
  });
  const adopted: contract.WorkflowFinding = await check.send(contract.adoptWorkflow, {
    headers,
    params,
    body: { fingerprint, version },
    status: 200,
  });
  assertEquals(adopted.outcome, "synced");
  await check.send(contract.confirmWorkflowSetting, {
    headers,
    params,
    body: { version: adopted.setting.version },
    status: 200,
  });
  await check.send(contract.listWorkflowHistory, {
    headers,
    params,
    query: { max: "3" },
    status: 200,
  });

  const ofType = { ...workspace, type: "brain" };
  const stranger = await headersOf(info, await signUp(info));
  const service = { apikey: info.secret_key };
  await check.send(contract.getWorkflowSetting, { headers, params: ofType, status: 404 });
  await check.send(contract.getWorkflowSetting, { headers: stranger, params, status: 404 });
  await check.send(contract.getWorkflowSetting, { headers: service, params, status: 401 });
  await check.send(contract.getWorkflowSetting, {
    headers: { authorization: "Bearer not.a.token" },
    params,
    status: 401,
  });
  await check.send(contract.getWorkflowSetting, {
    headers,
    params: { ...workspace, type: "Sarah X" },
    status: 400,
  });
  await check.send(contract.listWorkflowSettings, {
    headers,
    params: { workspace: "mine" },
    status: 404,
  });
  await check.send(contract.saveWorkflowSetting, {
    headers,
    params,
    body: { temperature: "hot" },
    status: 400,
  });
  await check.send(contract.confirmWorkflowSetting, {
    headers,
    params,
    body: { version: 1 },
    status: 409,
  });
  await check.send(contract.syncWorkflowSetting, {
    headers,
    params,
    body: { version: 1 },
    status: 409,
  });
  await check.send(contract.listWorkflowHistory, {
    headers,
    params,
    query: { max: "many" },
    status: 400,
  });
  await check.send(contract.deleteWorkflowSetting, { headers, params, status: 204 });
  await check.send(contract.deleteWorkflowSetting, { headers, params, status: 404 });
  check.assertComplete();
});
