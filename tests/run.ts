/**
 * `deno task test`: one stack for all tests, one runner, one summary.
 *
 * Arguments go to `deno test`: files, `--filter`. The test run gets the address of the stack in the
 * environment variable TEST_STACK; a test file that is run alone starts a stack of its own.
 *
 * @module
 */
import { runOnFunctions } from "../cli/check_functions.ts";
import { startStack } from "../local/spawn_stack.ts";
import { startTemplateServer } from "./support/own_database.ts";

const root = new URL("..", import.meta.url);
const given = Deno.args.filter((argument) => !argument.startsWith("-"));
const options = Deno.args.filter((argument) => argument.startsWith("-"));

// On a fresh machine the packages of the functions come first: a test that kills things must not meet a
// function that is still being downloaded.
if (!await runOnFunctions("cache")) Deno.exit(1);

await using stack = await startStack();
await using templates = await startTemplateServer();
const run = new Deno.Command(Deno.execPath(), {
  args: [
    "test",
    "--allow-all",
    "--frozen",
    "--parallel",
    ...options,
    ...(given.length > 0 ? given : ["tests/"]),
  ],
  cwd: root,
  env: {
    TEST_STACK: JSON.stringify(stack.info),
    TEST_TEMPLATE_SERVER: templates.url,
    // Files at a time. At full size every one of them uses the whole machine by itself.
    DENO_JOBS: Deno.env.get("DENO_JOBS") ?? (Deno.env.get("SOAK") === "1" ? "1" : "2"),
  },
}).spawn();
// Ctrl-C reaches the tests as well; this process waits for them and then stops the stack.
Deno.addSignalListener("SIGINT", () => {});
const { code } = await run.status;
Deno.exitCode = code;
