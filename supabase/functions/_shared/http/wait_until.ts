/**
 * Work that continues after the answer.
 *
 * @module
 */

interface EdgeRuntime {
  waitUntil(work: Promise<unknown>): void;
}

/**
 * Keeps the function alive until the work is done, where the platform would stop it with its answer. The work
 * must not throw.
 */
export function waitUntil(work: Promise<unknown>): void {
  // Elsewhere the process outlives its answers.
  (globalThis as { EdgeRuntime?: EdgeRuntime }).EdgeRuntime?.waitUntil(work);
}
