/**
 * Ends the process when its standard input ends; loaded before a function, or with `deno run --preload`. The stack
 * holds the other end and never writes to it, so the end of the input means that the stack has gone, even when
 * it was killed.
 *
 * @module
 */

// Deno waits for the work of a module before it loads the next one, and reading would never finish. The event `load`
// follows when everything has been loaded.
addEventListener("load", async () => {
  const buffer = new Uint8Array(1);
  while (await Deno.stdin.read(buffer) !== null);
  Deno.exit(0);
});
