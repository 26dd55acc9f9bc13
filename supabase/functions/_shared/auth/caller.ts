/**
 * Who calls a function that members of a workspace and programs with the service key may both call.
 * Whose token it is and what its bearer may do is for the database to say: its user is a client with
 * that token, and row level security holds for it.
 *
 * @module
 */
import { createUserClient, type DatabaseClient } from "../database/clients.ts";
import type { SupabaseEnv } from "../database/env.ts";
import { rows } from "../database/rpc.ts";
import { AppError } from "../http/errors.ts";
import { authenticateRefused, createApp, type CreateAppOptions, errorBody } from "../http/app.ts";

/** Who calls. */
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
 * @returns Reads the headers `apikey` and `Authorization: Bearer …` of a request. The service key counts
 *   in either; any other bearer is taken for a user's token, which the first call with it proves or not.
 *   It throws {@linkcode AppError} missing_authorization (401) without either.
 */
export function createCallerReader(env: SupabaseEnv): (request: Request) => Promise<Caller> {
  return async (request) => {
    const bearer = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
    const apiKey = request.headers.get("apikey") ?? undefined;
    for (const key of [bearer, apiKey]) {
      if (key !== undefined && await isSame(key, env.serviceRoleKey)) return { kind: "service" };
    }
    // The publishable key is sent beside a token, or alone by somebody who is not signed in.
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

/** Options of {@linkcode createCallerApp}. */
export interface CreateCallerAppOptions extends Pick<CreateAppOptions, "name" | "log" | "now"> {
  /** As {@linkcode createCallerReader} makes it. */
  readCaller: (request: Request) => Promise<Caller>;
}

/**
 * {@linkcode createApp} for functions with callers: whoever is not known is told that, and not what is
 * wrong with the request.
 */
export function createCallerApp({ name, log, now, readCaller }: CreateCallerAppOptions) {
  const app = createApp({
    name,
    log,
    now,
    allowHeaders: ["authorization", "apikey", "x-client-info"],
    errorBody,
  });
  app.use(authenticateRefused(async ({ req }) => {
    const caller = await readCaller(req.raw);
    if (caller.kind === "service") return;
    // Only the database can tell whether a token is valid.
    await rows(caller.client, caller.client.from("workspaces").select("id").limit(1));
  }));
  return app;
}

/**
 * Makes sure that it is the schedule that calls.
 *
 * @throws {AppError} service_key_required (403) for a user.
 */
export function requireService(caller: Caller): void {
  if (caller.kind === "service") return;
  throw new AppError(
    403,
    "service_key_required",
    "Only the schedule, with the service key, may do this",
  );
}

/** Compares in constant time: of two HMACs under a fresh key nothing can be learned by timing. */
async function isSame(given: string, expected: string): Promise<boolean> {
  const key = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
    "verify",
  ]);
  const encoder = new TextEncoder();
  const signature = await crypto.subtle.sign("HMAC", key, encoder.encode(expected));
  return await crypto.subtle.verify("HMAC", key, signature, encoder.encode(given));
}
