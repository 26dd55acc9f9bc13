/**
 * The address of the stack. The path decides what answers: Auth and REST, Realtime, a function, the app, or none of
 * them, with the status and body of hosted Supabase.
 *
 * @module
 */

import type { App } from "../app.ts";
import type { FunctionProcess } from "./function_process.ts";
import type { Functions } from "./functions.ts";
import type { FunctionProxy } from "./function_proxy.ts";
import { REALTIME_PATH, type RealtimeService } from "../realtime/service.ts";
import type { RestService } from "./rest_service.ts";
import type { UserTokenCheck } from "./user_token.ts";

/** What `createGateway` needs. */
export interface GatewayOptions {
  readonly rest: Pick<RestService, "fetch">;
  /** Realtime, if the project has it. */
  readonly realtime: Pick<RealtimeService, "fetch"> | undefined;
  readonly functions: Functions;
  readonly proxy: FunctionProxy;
  readonly checkUserToken: UserTokenCheck;
  /** The inbox app, if the project has one. */
  readonly app: App | undefined;
}

/** Answers one request. */
export type Gateway = (request: Request, caller: { hostname: string }) => Promise<Response>;

/** Creates the handler for all requests of the stack. */
export function createGateway(options: GatewayOptions): Gateway {
  const { rest, realtime, functions, proxy, checkUserToken, app } = options;

  async function callFunction(request: Request, url: URL, caller: { hostname: string }) {
    const path = url.pathname.slice("/functions/v1".length);
    const name = path.split("/", 2)[1] ?? "";
    const settings = functions.find(name);
    if (!settings) {
      return json(404, { code: "NOT_FOUND", message: "Requested function was not found" });
    }
    if (settings.verifyJwt && request.method !== "OPTIONS") {
      const token = await checkUserToken(request.headers.get("authorization"));
      if (token === "missing") {
        return json(401, { code: 401, message: "Missing authorization header" });
      }
      if (token === "invalid") return json(401, { code: 401, message: "Invalid JWT" });
    }
    const process = await functions.ensureRunning(name);
    if (!process) return bootError();
    try {
      return await proxy.forward(request, process.origin, path + url.search, caller);
    } catch (error) {
      return await explain(error, request, process);
    }
  }

  /** The answer for a function that did not answer. */
  async function explain(error: unknown, request: Request, process: FunctionProcess) {
    // The caller has gone.
    if (request.signal.aborted) return new Response(null, { status: 499 });
    // The process ends a moment after its connections do.
    await Promise.race([process.exited, new Promise((resolve) => setTimeout(resolve, 200))]);
    if (!process.hasExited) throw error;
    return json(502, {
      code: "WORKER_ERROR",
      message: "Function exited due to an error (please check logs)",
    });
  }

  return async (request, caller) => {
    const url = new URL(request.url);
    if (url.pathname.startsWith("/functions/v1/")) return await callFunction(request, url, caller);
    if (url.pathname.startsWith("/rest/v1/") || url.pathname.startsWith("/auth/v1/")) {
      return request.method === "OPTIONS"
        ? preflight(request)
        : allowAnyPage(await rest.fetch(request, caller.hostname));
    }
    if (realtime && url.pathname.startsWith(REALTIME_PATH)) {
      if (request.method === "OPTIONS") return preflight(request);
      const response = await realtime.fetch(request);
      // The answer to a WebSocket is the open socket.
      return response.status === 101 ? response : allowAnyPage(response);
    }
    if (app && (url.pathname === "/app" || url.pathname.startsWith("/app/"))) {
      return await app.fetch(request);
    }
    if (url.pathname === "/") {
      return json(200, {
        message: "Supabase on this machine",
        auth: "/auth/v1",
        rest: "/rest/v1",
        ...(realtime && { realtime: "/realtime/v1" }),
        functions: "/functions/v1/<name>",
        ...(app && { app: "/app/" }),
      });
    }
    return json(404, { code: "NOT_FOUND", message: "Not found" });
  };
}

/** Lets any page read the answer, as hosted Supabase does. The package does not do it for Auth. */
function allowAnyPage(response: Response): Response {
  const headers = new Headers(response.headers);
  headers.set("access-control-allow-origin", "*");
  return new Response(response.body, { status: response.status, headers });
}

/** Lets any page send requests. The package refuses them for functions of the database. */
function preflight(request: Request): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
      "access-control-allow-headers": request.headers.get("access-control-request-headers") ?? "*",
      "access-control-max-age": "3600",
    },
  });
}

function bootError(): Response {
  return json(503, {
    code: "BOOT_ERROR",
    message: "Function failed to start (please check logs)",
  });
}

function json(status: number, body: unknown): Response {
  const code = (body as { code?: unknown }).code;
  return Response.json(body, {
    status,
    headers: {
      // Without this header a browser hides the answer from the page.
      "access-control-allow-origin": "*",
      ...(typeof code === "string" && { "sb-error-code": code }),
    },
  });
}
