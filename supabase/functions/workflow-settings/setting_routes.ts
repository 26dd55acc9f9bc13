/**
 * Routes that read and write settings here, without Kapso.
 *
 * @module
 */
import type { Hono } from "hono";
import {
  confirmWorkflowSetting,
  deleteWorkflowSetting,
  getWorkflowSetting,
  listWorkflowHistory,
  listWorkflowSettings,
  saveWorkflowSetting,
} from "../_shared/contracts/workflow_settings.ts";
import type { AppVariables } from "../_shared/http/app.ts";
import { addRoute } from "../_shared/http/routes.ts";
import type { Access } from "./context.ts";
import { settingNotFound, toWire } from "./setting.ts";

/** Adds the routes. */
export function addSettingRoutes(app: Hono<AppVariables>, access: Access): void {
  addRoute(app, listWorkflowSettings, async ({ params, reply }, context) => {
    const { settings } = await access.manager(context, params.workspace);
    return reply(200, { settings: (await settings.list(params.workspace)).map(toWire) });
  });

  addRoute(app, getWorkflowSetting, async ({ params, reply }, context) => {
    const { setting } = await access.managerOf(context, params);
    return reply(200, { setting: toWire(setting) });
  }, access.routeOptions);

  addRoute(app, saveWorkflowSetting, async ({ params, body, reply }, context) => {
    const { version, ...changes } = body;
    const { settings } = await access.manager(context, params.workspace);
    const saved = await settings.save(params.workspace, params.type, version ?? null, changes);
    return reply(version ? 200 : 201, { setting: toWire(saved) });
  }, access.routeOptions);

  addRoute(app, deleteWorkflowSetting, async ({ params }, context) => {
    const { settings } = await access.manager(context, params.workspace);
    if (!await settings.remove(params.workspace, params.type)) throw settingNotFound();
    return context.body(null, 204);
  }, access.routeOptions);

  addRoute(app, listWorkflowHistory, async ({ params, query, reply }, context) => {
    const { settings } = await access.manager(context, params.workspace);
    const history = await settings.history(params.workspace, params.type, query);
    return reply(200, { history });
  }, access.routeOptions);

  addRoute(app, confirmWorkflowSetting, async ({ params, body, reply }, context) => {
    const { settings } = await access.managerOf(context, params);
    const confirmed = await settings.confirm(params.workspace, params.type, body.version);
    return reply(200, { setting: toWire(confirmed) });
  }, access.routeOptions);
}
