/**
 * Serves the inbox app at `/app/`, as any static host would: the files of its build, a `config.json`
 * that says where Supabase is, and headers that keep foreign scripts out.
 *
 * @module
 */

import { extname, join } from "node:path";
import { buildApp } from "./app_build.ts";
import type { DEMO } from "./demo.ts";
import { CommandError } from "../cli/command_error.ts";
import { logWarning } from "./log.ts";
import type { Project } from "./project.ts";

/** What `createApp` needs. */
export interface AppOptions {
  readonly project: Project;
  /** Address of the stack, as the functions write it into links to files. */
  readonly apiUrl: string;
  readonly publishableKey: string;
  /** Whether the stack announces changes; without that the app polls. */
  readonly hasRealtime: boolean;
  readonly demo: Pick<typeof DEMO, "email" | "password">;
  /** Rebuild when the sources have changed since the last request for a page. */
  readonly isWatching: boolean;
}

/** The inbox app of a project. */
export interface App {
  /** Starts the build, so that the first page loads without waiting for it. */
  prepare(): void;
  /** Answers a request for `/app` or anything below. Waits for the build. */
  fetch(request: Request): Promise<Response>;
}

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".webmanifest": "application/manifest+json",
};

/** Allows only the app's own scripts, and requests to this stack alone. */
function securityHeaders(apiUrl: string): Record<string, string> {
  return {
    "content-security-policy": [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      // Some browsers do not count WebSockets of the same host as 'self'.
      `connect-src 'self' ${apiUrl.replace(/^http/, "ws")}`,
      `img-src 'self' ${apiUrl}`,
      `media-src 'self' ${apiUrl}`,
      "base-uri 'none'",
      "form-action 'self'",
      "frame-ancestors 'none'",
    ].join("; "),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  };
}

/** Returns the app of the project, or undefined if it has none. */
export async function createApp(options: AppOptions): Promise<App | undefined> {
  const { project, apiUrl, publishableKey, hasRealtime, demo, isWatching } = options;
  const appDir = join(project.root, "app");
  try {
    await Deno.stat(join(appDir, "index.html"));
  } catch {
    return undefined;
  }
  const buildsDir = join(project.localDir, "app");
  let build: Promise<string> | undefined;
  const prepare = () => {
    build ??= buildApp({ appDir, buildsDir });
    build.catch((error) => {
      // The next request retries: the package registry may have been unreachable for a moment.
      build = undefined;
      logWarning(error instanceof CommandError ? error.message : String(error));
    });
    return build;
  };

  return {
    prepare() {
      prepare().catch(() => {});
    },
    async fetch(request) {
      const { pathname, origin } = new URL(request.url);
      if (request.method !== "GET" && request.method !== "HEAD") {
        return text(405, "Method not allowed", { allow: "GET, HEAD" });
      }
      if (pathname === "/app") {
        return new Response(null, {
          status: 308,
          headers: { location: "/app/" },
        });
      }
      if (pathname === "/app/config.json") {
        return Response.json(
          {
            api_url: origin,
            publishable_key: publishableKey,
            has_realtime: hasRealtime,
            demo,
          },
          {
            headers: {
              "cache-control": "no-store",
              "x-content-type-options": "nosniff",
            },
          },
        );
      }
      const name = pathname === "/app/" ? "index.html" : pathname.slice("/app/".length);
      if (isWatching && name === "index.html") build = undefined;
      let folder: string;
      try {
        folder = await prepare();
      } catch (error) {
        const reason = error instanceof CommandError ? error.message : "See the log of the stack.";
        return text(503, `Could not build the app. ${reason}`, {
          "retry-after": "5",
        });
      }
      return await serveFile(folder, name, securityHeaders(apiUrl));
    },
  };
}

async function serveFile(
  folder: string,
  name: string,
  headers: Record<string, string>,
): Promise<Response> {
  const type = CONTENT_TYPES[extname(name)];
  // `..` is resolved in a URL, but an encoded separator could still leave the folder.
  if (type === undefined || !/^[\w./-]+$/.test(name) || name.includes("..")) {
    return notFound();
  }
  let body: Uint8Array<ArrayBuffer>;
  try {
    body = await Deno.readFile(join(folder, name));
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.IsADirectory
    ) {
      return notFound();
    }
    throw error;
  }
  return new Response(body, {
    headers: {
      ...headers,
      "content-type": type,
      // The name of an asset changes with its content.
      "cache-control": name.startsWith("assets/")
        ? "public, max-age=31536000, immutable"
        : "no-cache",
    },
  });
}

function notFound(): Response {
  return text(404, "Not found");
}

function text(
  status: number,
  message: string,
  headers: HeadersInit = {},
): Response {
  return new Response(`${message}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...headers },
  });
}
