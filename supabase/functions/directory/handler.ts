/**
 * GET /directory: which project serves a workspace.
 *
 * @module
 */
import { sha256Hex } from "../_shared/auth/hash.ts";
import { type DirectoryQuery, findProject } from "../_shared/contracts/directory.ts";
import { createApp, errorBody } from "../_shared/http/app.ts";
import { AppError } from "../_shared/http/errors.ts";
import type { Log } from "../_shared/http/log.ts";
import { addRoute } from "../_shared/http/routes.ts";
import type { DirectoryStore, EntryKind } from "./store.ts";

/** Seconds that anyone may keep the answer for a name: as long as a move takes to be noticed. */
const MAX_AGE_SECONDS = 60;

/** What the handler needs from outside. */
export interface HandlerDeps {
  store: DirectoryStore;
  log: Log;
  /** Monotonic clock, milliseconds. */
  monotonic: () => number;
}

/** Creates the handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createApp({
    name: "directory",
    log: deps.log,
    monotonic: deps.monotonic,
    allowHeaders: ["x-api-key"],
    errorBody,
  });
  addRoute(app, findProject, async ({ query, reply }, context) => {
    context.header("Cache-Control", "no-store");
    const [kind, value] = await readName(query, context.req.header("x-api-key"));
    const project = await deps.store.find(kind, value);
    if (project === undefined) {
      throw new AppError(
        404,
        "project_not_found",
        "No project serves this. Check the name or the key",
      );
    }
    if (kind !== "key") context.header("Cache-Control", `public, max-age=${MAX_AGE_SECONDS}`);
    return reply(200, {
      project_url: project.projectUrl,
      publishable_key: project.publishableKey,
    });
  }, { queryErrorCode: "invalid_query" });
  return (request) => app.fetch(request);
}

/** @throws {AppError} invalid_query (400) unless there is one name, or a key. */
async function readName(
  { workspace, connection_id, phone_number_id }: DirectoryQuery,
  key: string | undefined,
): Promise<[EntryKind, string]> {
  const names = ([
    ["workspace", workspace],
    ["connection", connection_id],
    ["phone_number", phone_number_id],
    ["key", key],
  ] as const).flatMap(([kind, value]) => value ? [[kind, value] as const] : []);
  const [only] = names;
  if (only === undefined || names.length > 1) {
    throw new AppError(
      400,
      "invalid_query",
      "Send one of workspace, connection_id and phone_number_id, or the header x-api-key",
    );
  }
  const [kind, value] = only;
  return [kind, kind === "key" ? await sha256Hex(value) : value];
}
