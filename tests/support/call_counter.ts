/**
 * Counts calls of the API.
 *
 * @module
 */

/** A server in front of the API. */
export interface CallCounter extends AsyncDisposable {
  readonly url: string;
  /** Paths of the calls so far. */
  readonly calls: string[];
}

/** Starts a server that passes on every request and remembers its path. */
export function countCalls(apiUrl: string): CallCounter {
  const calls: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname, search } = new URL(request.url);
      calls.push(pathname);
      return await fetch(apiUrl + pathname + search, {
        method: request.method,
        headers: request.headers,
        body: request.method === "GET" ? null : await request.arrayBuffer(),
      });
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    calls,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
