/**
 * Starts peers of the functions: with the same Deno, options and packages, but beside the stack, because what is in
 * supabase/functions is deployed.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { findEdgeDeno } from "../local/gateway/edge_deno.ts";
import { FunctionProcess } from "../local/gateway/function_process.ts";
import type { BenchContext } from "./cases/case.ts";

/** A running peer. */
export interface Peer extends AsyncDisposable {
  readonly pid: number;
  /** Its address. No gateway is before it. */
  readonly origin: string;
}

/** Starts a peer of this folder, and resolves when it answers. */
export async function startPeer(
  { info }: BenchContext,
  name: "array_peer" | "webhook_peer",
): Promise<Peer> {
  const peer = new FunctionProcess({
    name,
    deno: await findEdgeDeno(),
    entrypoint: fileURLToPath(new URL(`${name}.ts`, import.meta.url)),
    importMap: fileURLToPath(new URL("../import_map.json", import.meta.url)),
    env: {
      SUPABASE_URL: info.api_url,
      SUPABASE_SECRET_KEY: info.secret_key,
      API_KEY: info.demo.api_key,
      KAPSO_WEBHOOK_SECRET: info.demo.kapso_webhook_secret,
    },
  });
  if (!await peer.ready) throw new Error(`${name} did not start`);
  return {
    pid: peer.pid,
    origin: peer.origin,
    [Symbol.asyncDispose]: () => peer.stop(),
  };
}
