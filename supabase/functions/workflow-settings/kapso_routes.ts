/**
 * Routes that compare settings with Kapso, write them there, or take over what Kapso has.
 *
 * @module
 */
import type { Context, Hono } from "hono";
import {
  adoptWorkflow,
  checkWorkflowSetting,
  getWorkflowManual,
  listKapsoWorkflows,
  syncWorkflowSetting,
} from "../_shared/contracts/workflow_settings.ts";
import { refused } from "../_shared/database/errors.ts";
import type { AppVariables } from "../_shared/http/app.ts";
import { AppError } from "../_shared/http/errors.ts";
import { addRoute } from "../_shared/http/routes.ts";
import { KapsoError } from "../_shared/kapso/api/client.ts";
import type { Access, HandlerDeps } from "./context.ts";
import { adoptedChanges } from "./adopt.ts";
import { type Finding, textOrNull, toAnswer } from "./finding.ts";
import { writeManual } from "./manual.ts";
import { toWire } from "./setting.ts";
import { checkSetting, syncSetting } from "./sync.ts";

const LIST_TIMEOUT_MS = 30_000;

/** Adds the routes. */
export function addKapsoRoutes(
  app: Hono<AppVariables>,
  access: Access,
  { connect, store, log }: Pick<HandlerDeps, "connect" | "store" | "log">,
): void {
  const logFinding = (context: Context<AppVariables>, action: string, finding: Finding) =>
    log("info", action, {
      request_id: context.get("requestId"),
      outcome: finding.outcome,
      reason: finding.reason,
      changes: finding.changes.length,
    });

  addRoute(app, listKapsoWorkflows, async ({ params, query, reply }, context) => {
    await access.manager(context, params.workspace);
    const signal = AbortSignal.timeout(LIST_TIMEOUT_MS);
    try {
      const connected = await connect(params.workspace, query.connection_id ?? null, signal);
      if (connected.reason !== undefined) throw unreadable(connected.reason.replaceAll("_", " "));
      const workflows = await connected.kapso.listWorkflows({ signal });
      return reply(200, {
        workflows: workflows.map(({ id, name, status, updated_at }) => ({
          id: textOrNull(id),
          name: textOrNull(name),
          status: textOrNull(status),
          updated_at: textOrNull(updated_at),
        })),
      });
    } catch (error) {
      if (error instanceof KapsoError) throw unreadable(error.message);
      if (error instanceof DOMException) throw unreadable("Kapso did not answer in time");
      throw error;
    }
  }, access.routeOptions);

  addRoute(app, syncWorkflowSetting, async ({ params, body, reply }, context) => {
    const { dry_run: isDryRun, overwrite, version } = body;
    const { setting, userId } = await access.managerOf(context, params);
    if (version !== undefined && setting.version !== version) throw refused("version_conflict");
    const finding = await syncSetting(connect, setting, { isDryRun, overwrite });
    logFinding(context, "sync", finding);
    const now = isDryRun
      ? setting
      : await store.record(setting, finding, { action: "synced", userId });
    return reply(200, toAnswer(finding, isDryRun, now));
  }, access.routeOptions);

  addRoute(app, checkWorkflowSetting, async ({ params, reply }, context) => {
    const { setting, userId } = await access.managerOf(context, params);
    const finding = await checkSetting(connect, setting);
    logFinding(context, "check", finding);
    // Where Kapso could not be read, a manual confirmation stays. A workflow that does not exist was read.
    const wasRead = finding.kapso !== null || finding.reason === "workflow_not_found";
    const now = wasRead
      ? await store.record(setting, finding, { action: "checked", userId })
      : setting;
    return reply(200, toAnswer(finding, false, now));
  }, access.routeOptions);

  addRoute(app, adoptWorkflow, async ({ params, body, reply }, context) => {
    const { settings, setting, userId } = await access.managerOf(context, params);
    if (setting.version !== body.version) throw refused("version_conflict");
    const finding = await checkSetting(connect, setting);
    if (finding.kapso === null) throw unreadable(finding.message);
    if (finding.fingerprint !== body.fingerprint) {
      throw new AppError(
        409,
        "kapso_changed",
        "Kapso's values changed in the meantime: check again and compare both sides",
      );
    }
    const saved = await settings.save(
      params.workspace,
      params.type,
      body.version,
      adoptedChanges(finding.changes),
      { isAdopted: true },
    );
    const after = await checkSetting(connect, saved);
    logFinding(context, "adopt", after);
    const now = after.kapso === null
      ? saved
      : await store.record(saved, after, { action: "adopted", userId });
    return reply(200, toAnswer(after, false, now));
  }, access.routeOptions);

  addRoute(app, getWorkflowManual, async ({ params, reply }, context) => {
    const { setting } = await access.managerOf(context, params);
    const finding = await checkSetting(connect, setting);
    return reply(200, {
      manual: finding.manual ?? writeManual(setting, finding.workflow, finding.problems),
      setting: toWire(setting),
    });
  }, access.routeOptions);
}

function unreadable(why: string): AppError {
  return new AppError(409, "kapso_unreadable", `Kapso could not be read: ${why}`);
}
