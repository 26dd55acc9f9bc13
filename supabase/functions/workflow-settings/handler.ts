/**
 * The settings of a workspace's AI workflows, and their way to Kapso. docs/api/workflow-settings.md.
 *
 * @module
 */
import type { Context } from "hono";
import { type Caller, createCallerApp } from "../_shared/auth/caller.ts";
import { AppError } from "../_shared/http/errors.ts";
import { type AppVariables, limitBody, readJson } from "../_shared/http/app.ts";
import { KapsoError } from "../_shared/kapso/api/client.ts";
import type { Log } from "../_shared/http/log.ts";
import { requireRole } from "../_shared/auth/membership.ts";
import { readInput } from "../_shared/http/validation.ts";
import { adoptedChanges } from "./adopt.ts";
import { writeManual } from "./manual.ts";
import {
  adoptBody,
  confirmBody,
  historyQuery,
  MAX_BODY_BYTES,
  parsePlace,
  parseQuery,
  parseWorkspace,
  type Place,
  saveBody,
  syncBody,
  workflowsQuery,
} from "./schema.ts";
import { memberStore, type ServiceStore, type Setting } from "./store.ts";
import { checkSetting, type Connect, type Finding, syncSetting } from "./sync.ts";

/** What the handler needs of the outside world. */
export interface HandlerDeps {
  /** Who calls; throws as `createCallerReader` does. */
  readCaller: (request: Request) => Promise<Caller>;
  store: Pick<ServiceStore, "record">;
  connect: Connect;
  log: Log;
  now: () => number;
}

const MANAGERS = ["owner", "admin"];

/** The handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createCallerApp({ name: "workflow-settings", ...deps });

  /** The caller, who manages the workspace. */
  async function manager(context: Context<AppVariables>, workspaceId: string) {
    const caller = await deps.readCaller(context.req.raw);
    if (caller.kind !== "user") {
      throw new AppError(
        401,
        "missing_authorization",
        "Sign in: settings are changed by people, whose names are kept in the history",
      );
    }
    const { userId } = await requireRole(caller.client, workspaceId, MANAGERS);
    return { settings: memberStore(caller.client), userId };
  }

  /** The caller, and the setting that is asked for. */
  async function managed(context: Context<AppVariables>, { workspaceId, type }: Place) {
    const { settings, userId } = await manager(context, workspaceId);
    const setting = await settings.find(workspaceId, type);
    if (!setting) throw settingNotFound();
    return { settings, userId, setting };
  }

  const placeOf = (context: Context<AppVariables>) =>
    parsePlace(context.req.param("workspace")!, context.req.param("type")!);
  const logFinding = (context: Context<AppVariables>, action: string, finding: Finding) =>
    deps.log("info", action, {
      request_id: context.get("requestId"),
      outcome: finding.outcome,
      reason: finding.reason,
      changes: finding.changes.length,
    });

  app.use("*", limitBody(MAX_BODY_BYTES));

  app.get("/:workspace", async (context) => {
    const workspaceId = parseWorkspace(context.req.param("workspace"));
    const { settings } = await manager(context, workspaceId);
    return context.json({ settings: (await settings.list(workspaceId)).map(toWire) });
  });

  app.get("/:workspace/kapso-workflows", async (context) => {
    const workspaceId = parseWorkspace(context.req.param("workspace"));
    const query = parseQuery(workflowsQuery, context.req.query());
    await manager(context, workspaceId);
    const signal = AbortSignal.timeout(LIST_TIMEOUT_MS);
    try {
      const connected = await deps.connect(workspaceId, query.connection_id ?? null, signal);
      if (connected.reason !== undefined) throw unreadable(connected.reason.replaceAll("_", " "));
      const rows = await connected.kapso.listWorkflows({ signal });
      return context.json({
        workflows: rows.map(({ id, name, status, updated_at }) => ({
          id: id ?? null,
          name: name ?? null,
          status: status ?? null,
          updated_at: updated_at ?? null,
        })),
      });
    } catch (error) {
      if (error instanceof KapsoError) throw unreadable(error.message);
      if (error instanceof DOMException) throw unreadable("Kapso did not answer in time");
      throw error;
    }
  });

  app.get("/:workspace/:type", async (context) => {
    const { setting } = await managed(context, placeOf(context));
    return context.json({ setting: toWire(setting) });
  });
  app.put("/:workspace/:type", async (context) => {
    const { workspaceId, type } = placeOf(context);
    const { version, ...changes } = readInput(saveBody, await readJson(context));
    const { settings } = await manager(context, workspaceId);
    const saved = await settings.save(workspaceId, type, version ?? null, changes);
    if (!saved) throw versionConflict();
    return context.json({ setting: toWire(saved) }, version ? 200 : 201);
  });
  app.delete("/:workspace/:type", async (context) => {
    const { workspaceId, type } = placeOf(context);
    const { settings } = await manager(context, workspaceId);
    if (!await settings.remove(workspaceId, type)) throw settingNotFound();
    return context.body(null, 204);
  });

  app.get("/:workspace/:type/history", async (context) => {
    const { workspaceId, type } = placeOf(context);
    const { max, before } = parseQuery(historyQuery, context.req.query());
    const { settings } = await manager(context, workspaceId);
    const history = await settings.history(workspaceId, type, { max, before });
    return context.json({
      history: history.map((entry) => ({ ...entry, changed_at: toIso(entry.changed_at) })),
    });
  });

  app.post("/:workspace/:type/sync", async (context) => {
    const { dry_run: isDryRun, overwrite, version } = readInput(syncBody, await readJson(context));
    const { setting, userId } = await managed(context, placeOf(context));
    if (version !== undefined && setting.version !== version) throw versionConflict();
    const finding = await syncSetting(deps.connect, setting, { isDryRun, overwrite });
    logFinding(context, "sync", finding);
    const now = isDryRun
      ? setting
      : await deps.store.record(setting, finding, { action: "synced", userId });
    return context.json(toAnswer(finding, isDryRun, now));
  });

  app.post("/:workspace/:type/check", async (context) => {
    const { setting, userId } = await managed(context, placeOf(context));
    const finding = await checkSetting(deps.connect, setting);
    logFinding(context, "check", finding);
    // Who has not seen Kapso knows nothing new: what was confirmed by hand stays confirmed. That there is
    // no such workflow is something that was seen.
    const now = finding.kapso === null && finding.reason !== "workflow_not_found"
      ? setting
      : await deps.store.record(setting, finding, { action: "checked", userId });
    return context.json(toAnswer(finding, false, now));
  });

  app.post("/:workspace/:type/adopt", async (context) => {
    const { workspaceId, type } = placeOf(context);
    const body = readInput(adoptBody, await readJson(context));
    const { settings, setting, userId } = await managed(context, { workspaceId, type });
    if (setting.version !== body.version) throw versionConflict();
    const finding = await checkSetting(deps.connect, setting);
    if (finding.kapso === null) throw unreadable(finding.message);
    if (finding.fingerprint !== body.fingerprint) {
      throw new AppError(
        409,
        "kapso_changed",
        "Kapso has other values by now: check again, and look at both sides",
      );
    }
    const saved = await settings.save(
      workspaceId,
      type,
      body.version,
      adoptedChanges(finding.changes),
      { isAdopted: true },
    );
    if (!saved) throw versionConflict();
    const after = await checkSetting(deps.connect, saved);
    logFinding(context, "adopt", after);
    const now = after.kapso === null
      ? saved
      : await deps.store.record(saved, after, { action: "adopted", userId });
    return context.json(toAnswer(after, false, now));
  });

  app.get("/:workspace/:type/manual", async (context) => {
    const { setting } = await managed(context, placeOf(context));
    const finding = await checkSetting(deps.connect, setting);
    return context.json({
      manual: finding.manual ?? writeManual(setting, finding.known, finding.problems),
      setting: toWire(setting),
    });
  });

  app.post("/:workspace/:type/confirm", async (context) => {
    const { workspaceId, type } = placeOf(context);
    const { version } = readInput(confirmBody, await readJson(context));
    const { settings } = await managed(context, { workspaceId, type });
    const confirmed = await settings.confirm(workspaceId, type, version);
    if (!confirmed) throw versionConflict();
    return context.json({ setting: toWire(confirmed) });
  });

  return (request) => app.fetch(request);
}

const LIST_TIMEOUT_MS = 30_000;

/** A setting as callers see it. */
function toWire(setting: Setting): Record<string, unknown> {
  const { synced_values: _, kapso_lock_version: __, created_at: ___, ...shown } = setting;
  return {
    ...shown,
    last_synced_at: toIso(setting.last_synced_at),
    last_checked_at: toIso(setting.last_checked_at),
    updated_at: toIso(setting.updated_at),
  };
}

/** A time in UTC with milliseconds, as JavaScript has it. */
function toIso(time: string | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}

function toAnswer(finding: Finding, isDryRun: boolean, setting: Setting): Record<string, unknown> {
  const { values: _, lockVersion: __, known: ___, ...shown } = finding;
  return { ...shown, is_dry_run: isDryRun, setting: toWire(setting) };
}

function settingNotFound(): AppError {
  return new AppError(404, "setting_not_found", "There is no setting of this type yet");
}

function versionConflict(): AppError {
  return new AppError(
    409,
    "version_conflict",
    "Somebody else has changed this setting: read it again, and send its version",
  );
}

function unreadable(why: string): AppError {
  return new AppError(409, "kapso_unreadable", `Kapso cannot be read: ${why}`);
}
