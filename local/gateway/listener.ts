/**
 * The port of the stack. It stays open when the process runs out of file descriptors, which ends `Deno.serve`.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";
import { CommandError } from "../../cli/command_error.ts";
import { logWarning } from "../log.ts";
import { LOOPBACK } from "../ports.ts";

/** An open port. */
export interface Listener {
  readonly port: number;
  /** Accepts no more connections, and lets running requests finish for a second. */
  stop(): Promise<void>;
}

const DRAIN_MS = 1_000;
const RELISTEN_MS = 100;

/**
 * Opens a port of this machine.
 *
 * @param port 0 is any free one.
 * @throws {CommandError} if another program has the port.
 */
export function listen(port: number, handler: Deno.ServeHandler): Listener {
  let server = open(port, handler);
  const own = server.addr.port;
  let isStopped = false;
  let stopped: Promise<unknown> = Promise.resolve();

  server.finished.catch(keepOpen);

  async function keepOpen(error: unknown): Promise<void> {
    if (isStopped) return;
    logWarning(`idle connections are closed, because no more can be accepted: ${error}`);
    // Running requests finish.
    server.shutdown().catch(() => {});
    while (!isStopped) {
      await delay(RELISTEN_MS);
      try {
        server = open(own, handler);
        server.finished.catch(keepOpen);
        return;
      } catch { /* Too few descriptors are free yet. */ }
    }
  }

  return {
    port: own,
    async stop() {
      if (!isStopped) {
        isStopped = true;
        stopped = Promise.race([server.shutdown().catch(() => {}), delay(DRAIN_MS)]);
      }
      await stopped;
    },
  };
}

function open(port: number, handler: Deno.ServeHandler): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({
      hostname: LOOPBACK,
      port,
      onListen: () => {},
      onError: (error) => {
        logWarning(`a request failed: ${error instanceof Error ? error.stack : error}`);
        return Response.json({ code: "INTERNAL_ERROR", message: "Internal Server Error" }, {
          status: 500,
        });
      },
    }, handler);
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new CommandError(
      `Port ${port} is taken by another program. Stop that program, or choose another port: ` +
        "--port 54400, or --port 0 for any that is free.",
    );
  }
}
