/**
 * The version is written in deno.json and nowhere else; tools and documents agree with it.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import manifest from "../clients/conversation-sync/npm/package.json" with { type: "json" };
import project from "../deno.json" with { type: "json" };
import { EDGE_DENO_VERSION } from "../local/gateway/edge_deno.ts";
import { VERSION } from "../supabase/functions/_shared/http/version.ts";
import openapi from "../supabase/functions/_shared/openapi.json" with { type: "json" };

const read = (path: string) => Deno.readTextFile(new URL(`../${path}`, import.meta.url));

Deno.test("the OpenAPI document has the project's version: `deno task openapi`", () => {
  assertEquals(openapi.info.version, project.version);
});

Deno.test("the functions have the project's version: `deno task openapi`", () => {
  assertEquals(VERSION, project.version);
});

Deno.test("the client's package gets its version from deno.json, when it is built", () => {
  assertEquals("version" in manifest, false);
});

Deno.test("CI and the dev container use the same Deno", async () => {
  const [, ci] = /^deno_version=(.*)$/m.exec(await read(".ci/deno"))!;
  const container = [
    ...(await read(".devcontainer/devcontainer.json")).matchAll(/deno@(\d+\.\d+\.\d+)/g),
  ];
  assertEquals(container.map(([, version]) => version), [ci]);
});

Deno.test("the documents name the Deno that runs the functions", async () => {
  for (const path of ["CONTRIBUTING.md", "CHANGELOG.md", "docs/operations.md"]) {
    assertMatch(await read(path), new RegExp(`Deno ${RegExp.escape(EDGE_DENO_VERSION)}\\b`), path);
  }
});
