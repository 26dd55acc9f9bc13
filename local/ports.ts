/**
 * TCP ports on 127.0.0.1: a free one, and whether a wanted one is taken.
 *
 * @module
 */

export const LOOPBACK = "127.0.0.1";

/**
 * Finds a port that nobody listens on. Another process may take it before it is used, so a caller
 * that can try again should.
 */
export function findFreePort(): number {
  using listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
  return listener.addr.port;
}

/** Says whether somebody listens on the port already. */
export function isPortTaken(port: number): boolean {
  try {
    Deno.listen({ hostname: LOOPBACK, port }).close();
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return true;
    throw error;
  }
}

/** Says whether somebody accepts connections on the port. */
export async function canConnect(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: LOOPBACK, port })).close();
    return true;
  } catch {
    return false;
  }
}
