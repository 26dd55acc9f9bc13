/**
 * Downloads a version of Deno and prints the path of its program. Run with the version as the only argument, without
 * a lock file: the package depends on the platform.
 *
 * The npm package `deno` only picks the package of the platform and copies its program with an install script, so
 * this takes the package of the platform directly.
 *
 * @module
 */

import { findPackageJSON } from "node:module";
import { dirname, join } from "node:path";
import { print } from "../log.ts";

const TARGETS: Readonly<Record<string, string>> = {
  "x86_64-unknown-linux-gnu": "linux-x64-glibc",
  "aarch64-unknown-linux-gnu": "linux-arm64-glibc",
  "x86_64-apple-darwin": "darwin-x64",
  "aarch64-apple-darwin": "darwin-arm64",
  "x86_64-pc-windows-msvc": "win32-x64",
  "aarch64-pc-windows-msvc": "win32-arm64",
};

const target = TARGETS[Deno.build.target];
if (target === undefined) throw new Error(`there is no Deno for ${Deno.build.target} on npm`);
const name = `@deno/${target}`;
await import(`npm:${name}@${Deno.args[0]}/package.json`, { with: { type: "json" } });
const manifest = findPackageJSON(name, import.meta.url);
if (manifest === undefined) throw new Error(`${name} is not in Deno's cache`);
const program = join(dirname(manifest), Deno.build.os === "windows" ? "deno.exe" : "deno");
if (((await Deno.stat(program)).mode ?? 0o111) % 2 === 0) await Deno.chmod(program, 0o755);
print(program);
