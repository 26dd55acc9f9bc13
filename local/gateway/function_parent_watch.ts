/**
 * Ends the process when its standard input ends; loaded before a function (`deno run --preload`). The stack
 * holds the other end and never writes to it, so the end of the input means that the stack has gone, even when
 * it was killed.
 *
 * @module
 */

// Deno waits for the work of a preloaded module before it loads the function, and reading would never finish.
// The event `load` follows when the function has been loaded.
addEventListener("load", async () => {
  const buffer = new Uint8Array(1);
  while (await Deno.stdin.read(buffer) !== null);
  Deno.exit(0);
});
