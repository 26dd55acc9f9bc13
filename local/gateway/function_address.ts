/**
 * Gives `Deno.serve` the address that the gateway calls; loaded before a function, on the Deno of hosted Supabase.
 *
 * @module
 */

/** The port that the gateway calls. */
const port = Number(Deno.args[0]);
const serve = Deno.serve;

/** Serves on the gateway's port and ignores the function's own, as the Edge Runtime does. */
function serveGateway(
  first: Deno.ServeHandler | (Deno.ServeTcpOptions & { handler?: Deno.ServeHandler }),
  second?: Deno.ServeHandler,
): Deno.HttpServer {
  const given = typeof first === "function" ? { handler: first } : first;
  const handler = second ?? given.handler;
  if (handler === undefined) throw new TypeError("A handler function must be provided.");
  return serve({ ...given, hostname: "127.0.0.1", port, onListen: () => {} }, handler);
}
Object.defineProperty(Deno, "serve", { value: serveGateway });
