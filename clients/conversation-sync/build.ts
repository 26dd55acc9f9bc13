/**
 * Builds the npm package: `deno task build:client`, into
 * `clients/conversation-sync/dist/conversation-sync-client.tgz`, which `npm publish` and `npm install` take.
 * It holds package.json (with the version of `deno.json`), README.md, LICENSE and `lib`. It is an archive and
 * not a folder, so that type checks of this repository do not read its declarations.
 *
 * TypeScript and zod come from npm, in the versions that npm/package.json names, into a folder of their own:
 * the build checks the sources once more as a Node project, without Deno and this repository's settings.
 *
 * @module
 */

import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

import project from "../../deno.json" with { type: "json" };
import manifest from "./npm/package.json" with { type: "json" };

const CLIENT = import.meta.dirname!;
const ROOT = resolve(CLIENT, "../..");
const CONTRACT = join(
  ROOT,
  "supabase/functions/_shared/contracts/conversation_sync/answers.ts",
);

/**
 * Builds the package.
 *
 * @param archive Where to; what was there is replaced.
 * @param work An empty folder to build in. What is left there afterwards is the Node project (with its
 * packages in `node_modules`) and, in `package`, what the archive contains.
 * @param repository URL of the GitHub repository, which npm compares with the signed provenance of a
 * published package. Without it, package.json names none.
 * @throws {Error} with what TypeScript or npm said.
 */
export async function buildPackage(
  archive: string,
  work: string,
  repository?: string,
): Promise<void> {
  await cp(join(CLIENT, "npm/tsconfig.json"), join(work, "tsconfig.json"));
  await Deno.writeTextFile(join(work, "package.json"), packageManifest(repository));
  await cp(join(CLIENT, "src"), join(work, "src"), { recursive: true });
  // The package has no _shared: the contract itself takes the place of the module that exports it.
  await cp(CONTRACT, join(work, "src/contract.ts"));
  await run(work, Deno.execPath(), ["install", "--quiet", "--node-modules-dir=auto"]);
  await run(work, Deno.execPath(), ["run", "-A", "node_modules/typescript/bin/tsc", "-p", "."]);
  await nameScripts(join(work, "lib"));

  const content = join(work, "package");
  await mkdir(content);
  await cp(join(work, "lib"), join(content, "lib"), { recursive: true });
  await cp(join(work, "package.json"), join(content, "package.json"));
  await cp(join(CLIENT, "README.md"), join(content, "README.md"));
  await cp(join(ROOT, "LICENSE"), join(content, "LICENSE"));
  await mkdir(dirname(archive), { recursive: true });
  await run(work, "tar", ["-czf", archive, "package"]);
}

/** Returns the text of package.json: npm/package.json with the version and repository of the project. */
export function packageManifest(repository?: string): string {
  const { name, ...rest } = manifest;
  const published = {
    name,
    version: project.version,
    ...rest,
    ...(repository && {
      repository: {
        type: "git",
        url: `git+${repository}.git`,
        directory: "clients/conversation-sync",
      },
    }),
  };
  return `${JSON.stringify(published, null, 2)}\n`;
}

/** TypeScript leaves `./x.ts` in declarations, where it wants to find `x.d.ts`; not every tool does. */
async function nameScripts(lib: string): Promise<void> {
  for await (const { name } of Deno.readDir(lib)) {
    if (!name.endsWith(".d.ts")) continue;
    const text = await Deno.readTextFile(join(lib, name));
    await Deno.writeTextFile(join(lib, name), text.replace(/(["']\.\/\w+)\.ts(["'])/g, "$1.js$2"));
  }
}

async function run(cwd: string, command: string, args: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd,
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  if (success) return;
  const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
  throw new Error(`${args.join(" ")} failed:\n${said}`);
}

if (import.meta.main) {
  const work = await mkdtemp(join(tmpdir(), "build-client-"));
  try {
    // GitHub Actions sets both.
    const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name } = Deno.env.toObject();
    await buildPackage(
      join(CLIENT, "dist/conversation-sync-client.tgz"),
      work,
      server && name && `${server}/${name}`,
    );
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
