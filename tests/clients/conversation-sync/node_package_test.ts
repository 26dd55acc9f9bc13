/**
 * The package as it is published: built, unpacked into a project's `node_modules`, and used by plain Node,
 * with the examples of its README.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { cp } from "node:fs/promises";
import { join } from "node:path";

import { buildPackage, packageManifest } from "../../../clients/conversation-sync/build.ts";
import manifest from "../../../clients/conversation-sync/npm/package.json" with { type: "json" };
import denoConfig from "../../../deno.json" with { type: "json" };
import importMap from "../../../import_map.json" with { type: "json" };
import { cutOff, failure, held, KEY, ok, startFakeApi, STATE } from "../../../fakes/agent_api.ts";

const CLIENT = join(import.meta.dirname!, "../../../clients/conversation-sync");
const README = Deno.readTextFileSync(join(CLIENT, "README.md"));
const ORDERS = { sessionId: STATE.sessionId, currentOrderId: "o1", orderHistory: ["o1"] };
const TENANT = { subDomain: "demo", sessionId: STATE.sessionId };

const hasNode = isInstalled("node");
if (!hasNode) {
  // deno-lint-ignore no-console
  console.warn("node is not installed: the npm package is NOT tested");
}

Deno.test("the package has the versions that this repository tests", () => {
  assertEquals(`npm:zod@${manifest.dependencies.zod}`, importMap.imports.zod);
  assertEquals(Object.keys(manifest.dependencies), ["zod"]);
});

Deno.test("the published package names the repository that its provenance is compared with", () => {
  const { repository } = JSON.parse(packageManifest("https://github.com/owner/project"));
  assertEquals(repository, {
    type: "git",
    url: "git+https://github.com/owner/project.git",
    directory: "clients/conversation-sync",
  });
});

Deno.test({
  name: "the package works in plain Node, as its README says",
  ignore: !hasNode,
  async fn() {
    await using api = startFakeApi();
    const work = await Deno.makeTempDir({ prefix: "client-package-" });
    try {
      const project = join(work, "project");
      await installPackage(work, project);

      const examples = [...README.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
      assertEquals(examples.length, 3);
      for (const [index, code] of examples.entries()) {
        await Deno.writeTextFile(join(project, `example${index}.mts`), code);
      }
      await Deno.writeTextFile(join(project, "main.mts"), MAIN);
      await Deno.writeTextFile(join(project, "tsconfig.json"), JSON.stringify(TSCONFIG));
      await run(project, "node", [join(work, "build/node_modules/typescript/bin/tsc")], {});

      api.always((request) =>
        ok(
          request.path.endsWith("/orders")
            ? ORDERS
            : request.path.includes("/tenant/")
            ? TENANT
            : { ...STATE, currentStep: request.body?.step ?? "initial" },
        )(request)
      );
      const said = await run(project, "node", ["main.mjs"], {
        CONVERSATION_API_BASE_URL: api.url,
        CONVERSATION_API_KEY: KEY,
      });
      assertEquals(JSON.parse(said.stdout), {
        functions: "¡Perfecto!",
        scope: "¡Perfecto!",
        service: "processing_payment",
        syncs: 3,
      });
      assertEquals(said.stderr, "");
      const calls = api.requests.map(({ method, path }) => `${method} ${path.split("/").at(-1)}`);
      const conversation = [
        "POST conversations",
        "POST messages",
        "PUT sync",
        "POST messages",
        "POST orders",
      ];
      assertEquals(calls.slice(0, 10), [...conversation, ...conversation]);
      assertEquals(calls.length, 14);

      using never = held();
      for (const trouble of [failure(500), cutOff(), never.behaviour]) {
        api.always(trouble);
        const broken = await run(project, "node", ["main.mjs"], {
          CONVERSATION_API_BASE_URL: api.url,
          CONVERSATION_API_KEY: KEY,
          CONVERSATION_API_TIMEOUT: "0.5",
        });
        assertEquals(JSON.parse(broken.stdout), {
          functions: "¡Perfecto!",
          scope: "¡Perfecto!",
          service: "unknown customer",
          syncs: 0,
        });
        assertEquals(broken.stderr.match(/^conversation sync error \{/gm)?.length, 3);
        assert(!broken.stderr.includes("51999999999"));
      }

      const off = await run(project, "node", ["main.mjs"], { ENABLE_CONVERSATION_SYNC: "false" });
      assertEquals(off.stderr, "");
    } finally {
      await Deno.remove(work, { recursive: true });
    }
  },
});

/** Runs the three examples, and closes what they use. */
const MAIN = `
import { ConversationStateService, sharedService } from "@conversations/conversation-sync-client";
import { processMessage as withFunctions } from "./example0.mjs";
import { processMessage as inScope } from "./example1.mjs";
import { confirmPayment } from "./example2.mjs";

declare const process: { stdout: { write(text: string): void } };

const agent = () =>
  Promise.resolve({ current_intent: "order", order_stage: "cart", response: "¡Perfecto!", order_id: "o1" });
const service = new ConversationStateService({ retries: 0 });
const functions = await withFunctions("+51999999999", "Quiero una pizza", "wamid.1", agent);
const scope = await inScope("+51999999999", "Quiero una pizza", "wamid.2", agent);
const answers = { functions, scope, service: await confirmPayment("+51999999999", service) };
const syncs = service.metrics().syncs.total + sharedService().metrics().syncs.total;
await service.close();
await sharedService().close();
const said = JSON.stringify({ ...answers, syncs });
if (sharedService().isEnabled) process.stdout.write(said);
`;

/** As strict as it gets: declarations of packages are checked as well. */
const TSCONFIG = {
  compilerOptions: {
    target: "ES2022",
    module: "NodeNext",
    lib: ["ES2023", "ESNext.Disposable", "DOM"],
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
  },
  include: ["*.mts"],
};

/** Builds the package and unpacks it, and the zod it wants, into a project. */
async function installPackage(work: string, project: string): Promise<void> {
  const archive = join(work, "package.tgz");
  const build = join(work, "build");
  const target = join(project, "node_modules/@conversations/conversation-sync-client");
  await Deno.mkdir(build);
  await Deno.mkdir(target, { recursive: true });
  await buildPackage(archive, build);
  await run(target, "tar", ["-xzf", archive, "--strip-components=1"], {});
  await cp(
    await Deno.realPath(join(build, "node_modules/zod")),
    join(project, "node_modules/zod"),
    {
      recursive: true,
    },
  );
  const files = [...Deno.readDirSync(target)].map(({ name }) => name).sort();
  assertEquals(files, ["LICENSE", "README.md", "lib", "package.json"]);
  const published = JSON.parse(await Deno.readTextFile(join(target, "package.json")));
  assertEquals(published, { ...manifest, version: denoConfig.version });
}

async function run(
  cwd: string,
  command: string,
  args: string[],
  env: Record<string, string>,
): Promise<{ stdout: string; stderr: string }> {
  const output = await new Deno.Command(command, { args, cwd, env, stdin: "null" }).output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  ) as [string, string];
  assertEquals(output.code, 0, `${command} ${args.join(" ")}\n${stdout}${stderr}`);
  return { stdout, stderr };
}

function isInstalled(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}
