/**
 * How the app is built: files with relative addresses, so that they can lie in any folder of any static
 * host, and, where SUPABASE_URL and SUPABASE_PUBLISHABLE_KEY are set, the `config.json` beside them.
 *
 * @module
 */

import react from "@vitejs/plugin-react";
import { defineConfig, loadEnv, type Plugin } from "vite";

/** Writes `config.json` from the environment. `deno task start` serves one of its own instead. */
function configFile(env: Record<string, string>): Plugin {
  return {
    name: "config-file",
    apply: "build",
    generateBundle() {
      const { SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY } = env;
      if (!SUPABASE_URL || !SUPABASE_PUBLISHABLE_KEY) return;
      this.emitFile({
        type: "asset",
        fileName: "config.json",
        source: JSON.stringify({
          api_url: SUPABASE_URL,
          publishable_key: SUPABASE_PUBLISHABLE_KEY,
        }),
      });
    },
  };
}

export default defineConfig(({ mode }) => ({
  base: "./",
  plugins: [react(), configFile(loadEnv(mode, ".", "SUPABASE_"))],
  build: {
    target: "baseline-widely-available",
    modulePreload: { polyfill: false },
    // Every byte of the app is a file of its own host: the content security policy has no data: scripts.
    assetsInlineLimit: 0,
    // supabase-js and React are most of the first file, and needed for the first page.
    chunkSizeWarningLimit: 800,
    rolldownOptions: {
      output: {
        chunkFileNames: ({ name }) => `assets/${name.replace(/~.*/, "")}-[hash].js`,
        codeSplitting: {
          groups: [
            // What the first page needs is one file, and no icon is a request of its own.
            { name: "start", tags: ["$initial"], priority: 2 },
            {
              name: "shared",
              minShareCount: 2,
              entriesAware: true,
              entriesAwareMergeThreshold: 30_000,
            },
          ],
        },
      },
    },
  },
}));
