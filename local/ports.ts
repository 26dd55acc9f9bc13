/**
 * TCP ports on 127.0.0.1: finds a free one, and says whether one is taken.
 *
 * @module
 */

export const LOOPBACK = "127.0.0.1";

/**
 * Finds a free port. Another process may take it before it is used, so a caller that can retry should.
 */
export function findFreePort(): number {
  using listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
  return listener.addr.port;
}

/** Says whether another program listens on the port. */
export function isPortTaken(port: number): boolean {
  try {
    Deno.listen({ hostname: LOOPBACK, port }).close();
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return true;
    throw error;
  }
}

/** Says whether a program accepts connections on the port. */
export async function canConnect(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: LOOPBACK, port })).close();
    return true;
  } catch {
    return false;
  }
}
