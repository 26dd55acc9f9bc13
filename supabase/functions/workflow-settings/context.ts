/**
 * What the routes have in common: what they need, how they read requests, and who may call them.
 *
 * @module
 */
import type { Context } from "hono";
import { type Caller, callerCheck } from "../_shared/auth/caller.ts";
import { requireManager } from "../_shared/auth/membership.ts";
import type { AppVariables } from "../_shared/http/app.ts";
import { AppError } from "../_shared/http/errors.ts";
import { createBodyBudget } from "../_shared/http/large_bodies.ts";
import type { Log } from "../_shared/http/log.ts";
import type { AddRouteOptions } from "../_shared/http/routes.ts";
import type { Connect } from "./kapso.ts";
import { type Setting, settingNotFound } from "./setting.ts";
import { createSettingStore, type SettingStore, type SyncStore } from "./store.ts";

/** What the handler needs of the outside world. */
export interface HandlerDeps {
  /** Who calls; throws as `createCallerReader` does. */
  readCaller: (request: Request) => Promise<Caller>;
  store: Pick<SyncStore, "record">;
  connect: Connect;
  log: Log;
  /** Monotonic clock in milliseconds. */
  monotonic: () => number;
}

/** A prompt of 100,000 characters, and the rest. */
const MAX_BODY_BYTES = 2 * 1024 * 1024;

/** A signed-in owner or admin of a workspace. */
export interface Manager {
  userId: string;
  /** Reads and writes settings with the manager's rights. */
  settings: SettingStore;
}

/** Checks callers. */
export interface Access {
  /** How the routes of the function read requests. */
  readonly routeOptions: AddRouteOptions;
  /**
   * The caller, who must be a manager of the workspace.
   *
   * @throws {AppError} missing_authorization (401), or as `requireManager`.
   */
  manager(context: Context<AppVariables>, workspaceId: string): Promise<Manager>;
  /**
   * The caller as {@linkcode manager}, and a setting.
   *
   * @throws {AppError} setting_not_found (404).
   */
  managerOf(
    context: Context<AppVariables>,
    path: { workspace: string; type: string },
  ): Promise<Manager & { setting: Setting }>;
}

/** {@linkcode Access} for a reader of callers. */
export function createAccess({ readCaller }: Pick<HandlerDeps, "readCaller">): Access {
  const manager: Access["manager"] = async (context, workspaceId) => {
    const caller = await readCaller(context.req.raw);
    if (caller.kind !== "user") {
      throw new AppError(
        401,
        "missing_authorization",
        "Sign in: only people change settings, and the history names them",
      );
    }
    const userId = await requireManager(caller.client, workspaceId);
    return { userId, settings: createSettingStore(caller.client) };
  };
  return {
    routeOptions: {
      maxBodyBytes: MAX_BODY_BYTES,
      largeBodies: {
        authenticate: callerCheck(readCaller),
        budget: createBodyBudget({
          maxBytes: 4 * MAX_BODY_BYTES,
          maxBytesOfSender: MAX_BODY_BYTES,
        }),
      },
      anyMediaType: true,
      pathErrorCode: "invalid_query",
      queryErrorCode: "invalid_query",
    },
    manager,
    async managerOf(context, { workspace, type }) {
      const { userId, settings } = await manager(context, workspace);
      const setting = await settings.find(workspace, type);
      if (!setting) throw settingNotFound();
      return { userId, settings, setting };
    },
  };
}
