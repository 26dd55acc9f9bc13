/**
 * Runs the programs of the examples, behind a network that fails first.
 *
 * @module
 */

/** What a program printed and returned. */
export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export async function runProgram(
  [program, ...args]: readonly [string, ...string[]],
  { cwd, env, stdin = "" }: { cwd: string; env: Record<string, string>; stdin?: string },
): Promise<Output> {
  const child = new Deno.Command(program, {
    args,
    cwd,
    env: { PYTHONIOENCODING: "utf-8", PYTHONDONTWRITEBYTECODE: "1", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  // A program may end without reading it.
  await writer.write(new TextEncoder().encode(stdin)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** Tells whether a command runs and ends well. A test of a language that is missing is ignored. */
export function isInstalled([program, ...args]: readonly [string, ...string[]]): boolean {
  try {
    return new Deno.Command(program, { args, stdin: "null", stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

/** Answers a request itself, or returns undefined to pass it on. */
export type Interference = (request: Request, body: string) => Response | undefined;

/** A stack behind a network that does what a test wants. */
export interface Network extends AsyncDisposable {
  readonly url: string;
  /** Method, path and status of each request, in order. */
  readonly requests: readonly string[];
}

/** Starts a network in front of a stack. */
export function startNetwork(target: string, interfere: Interference): Network {
  const requests: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname, search } = new URL(request.url);
      const body = await request.text();
      const response = interfere(request, body) ?? await fetch(target + pathname + search, {
        method: request.method,
        headers: request.headers,
        ...(request.method === "GET" ? {} : { body }),
      });
      requests.push(`${request.method} ${pathname.split("/").at(-1)} ${response.status}`);
      return response;
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Half an answer. */
export function halfAnswer(): Response {
  return new Response('{"success": tr', { headers: { "content-type": "application/json" } });
}

/** A proxy's page, with a wait before the next attempt. */
export function busyAnswer(status: 429 | 503): Response {
  return new Response("<html>busy</html>", {
    status,
    headers: { "content-type": "text/html", "retry-after": "1" },
  });
}
