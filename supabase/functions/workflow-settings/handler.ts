/**
 * The settings of a workspace's AI workflows, and their sync with Kapso. docs/api/workflow-settings.md.
 *
 * @module
 */
import { createCallerApp } from "../_shared/auth/caller.ts";
import { createAccess, type HandlerDeps } from "./context.ts";
import { addKapsoRoutes } from "./kapso_routes.ts";
import { addSettingRoutes } from "./setting_routes.ts";

/** The handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createCallerApp({ name: "workflow-settings", ...deps });
  const access = createAccess(deps);
  // Before the routes of a setting, whose type could be `kapso-workflows` as well.
  addKapsoRoutes(app, access, deps);
  addSettingRoutes(app, access);
  return (request) => app.fetch(request);
}
