/**
 * The version of the functions. Written by `deno task openapi` from deno.json, which functions cannot read.
 *
 * @module
 */

/** Sent with every answer as `X-Function-Version`, which `deno task doctor` compares. */
export const VERSION = "0.1.0";
