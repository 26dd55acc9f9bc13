/**
 * Callers of functions that serve both members of a workspace and programs with the service key.
 * The database decides whose token it is and what its bearer may do: a user's calls carry the token, so
 * row level security holds for them.
 *
 * @module
 */
import { createUserClient, type DatabaseClient } from "../database/clients.ts";
import type { SupabaseEnv } from "../database/env.ts";
import { rows } from "../database/rpc.ts";
import { AppError } from "../http/errors.ts";
import { isOneOfSecrets, sha256Hex } from "./hash.ts";
import { authenticateRefused, createApp, type CreateAppOptions, errorBody } from "../http/app.ts";

/** A caller. */
export type Caller =
  | { kind: "service" }
  | {
    kind: "user";
    /** Sees what the user may see. */
    client: DatabaseClient;
  };

/**
 * Makes the reader of callers.
 *
 * @param env Project and keys.
 * @returns Reads the headers `apikey` and `Authorization: Bearer …` of a request. A secret key of the project
 *   counts in either; any other bearer counts as a user's token, which the first database call with it checks.
 *   It throws {@linkcode AppError} missing_authorization (401) without either.
 */
export function createCallerReader(env: SupabaseEnv): (request: Request) => Promise<Caller> {
  return async (request) => {
    const bearer = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
    const apiKey = request.headers.get("apikey") ?? undefined;
    for (const key of [bearer, apiKey]) {
      if (key !== undefined && await isOneOfSecrets(key, env.secretKeys)) {
        return { kind: "service" };
      }
    }
    // The publishable key comes beside a token, or alone from a caller who is not signed in.
    if (bearer === undefined || bearer.startsWith("sb_")) {
      throw new AppError(
        401,
        "missing_authorization",
        "Sign in, and send your access token as Authorization: Bearer …",
      );
    }
    return { kind: "user", client: createUserClient(env, bearer) };
  };
}

/**
 * Makes a check that lets only known callers through, for requests whose own database call comes later or never.
 *
 * @param readCaller As {@linkcode createCallerReader} makes it.
 * @returns Checks the caller of a request, and returns a text that is the same for the same caller. It throws
 *   {@linkcode AppError} missing_authorization or invalid_token (401).
 */
export function callerCheck(
  readCaller: (request: Request) => Promise<Caller>,
): (context: { req: { raw: Request } }) => Promise<string> {
  return async ({ req }) => {
    const caller = await readCaller(req.raw);
    if (caller.kind === "service") return "service";
    // Only the database knows whether a token is valid.
    await rows(caller.client, caller.client.from("workspaces").select("id").limit(1));
    return await sha256Hex(req.raw.headers.get("authorization") ?? "");
  };
}

/** Options of {@linkcode createCallerApp}. */
export interface CreateCallerAppOptions
  extends Pick<CreateAppOptions, "name" | "log" | "monotonic"> {
  /** As {@linkcode createCallerReader} makes it. */
  readCaller: (request: Request) => Promise<Caller>;
}

/**
 * {@linkcode createApp} for functions with callers. Unknown callers get 401 before they learn what else is
 * wrong with the request.
 */
export function createCallerApp({ name, log, monotonic, readCaller }: CreateCallerAppOptions) {
  const app = createApp({
    name,
    log,
    monotonic,
    allowHeaders: ["authorization", "apikey", "x-client-info"],
    errorBody,
  });
  app.use(authenticateRefused(callerCheck(readCaller)));
  return app;
}

/**
 * Makes sure that the caller has the service key, as the schedule does.
 *
 * @throws {AppError} service_key_required (403) for a user.
 */
export function requireService(caller: Caller): void {
  if (caller.kind === "service") return;
  throw new AppError(
    403,
    "service_key_required",
    "Only a caller with the service key, such as the schedule, may do this",
  );
}
