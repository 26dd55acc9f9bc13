/**
 * Loaded before a function (`deno run --preload`): ends the process when its input ends. The stack
 * holds the other end and never writes to it, so its end means that the stack has gone, even when it
 * was killed and could not tell anybody.
 *
 * @module
 */

// Deno waits for what a preloaded module has begun before it loads the function itself, and reading
// would never finish. `load` comes when the function has been loaded.
addEventListener("load", async () => {
  const buffer = new Uint8Array(1);
  while (await Deno.stdin.read(buffer) !== null);
  Deno.exit(0);
});
