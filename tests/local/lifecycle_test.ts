/**
 * Starting, stopping, and what happens when a part of the stack dies.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import postgres from "postgres";
import { type Stack, startStack } from "../../local/spawn_stack.ts";
import { eventually } from "../support/eventually.ts";
import { call, rest, ScratchProject, text } from "../support/scratch_project.ts";

const ALIVE = { mortal: `Deno.serve(() => new Response("alive"));` };

Deno.test("a stack on persistent data", async (t) => {
  await using project = await ScratchProject.create(ALIVE);

  await t.step("SIGTERM and SIGINT end everything, with exit code 0", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const stack = await project.start();
      assertEquals(await text(await call(stack, "mortal")), "alive");
      assertEquals(
        (await project.processes()).filter((line) => line.includes("/mortal/")).length,
        1,
      );
      const begin = Date.now();
      assertEquals(await stack.stop(signal), 0);
      assert(Date.now() - begin < 5_000);
      assertEquals(await project.processes(), []);
    }
  });

  await t.step(
    "a killed stack leaves its data, and nothing that blocks the next start",
    async () => {
      const killed = await project.start();
      await text(await call(killed, "mortal"));
      const written = await rest(killed, "notes", {
        method: "POST",
        body: `{"text":"kept"}`,
        headers: { apikey: killed.info.secret_key },
      });
      assertEquals(written.status, 201);
      await killed.kill();

      await using stack = await project.start();
      assertEquals(await noteTexts(stack), ["seed", "kept"]);
      assertEquals(stack.info.secret_key, killed.info.secret_key);
      assertEquals(stack.info.demo, killed.info.demo);
      assertEquals(
        (await project.processes()).filter((line) => line.includes("/mortal/")).length,
        0,
      );
    },
  );

  await t.step("the next start stops a Postgres of an earlier run", async () => {
    const killed = await project.start();
    const orphan = await project.postgresPid();
    // Without its guard the server keeps running.
    Deno.kill(await parentOf(orphan), "SIGKILL");
    await killed.kill();
    assert((await project.processes()).some((line) => line.includes("/bin/postgres")));

    await using stack = await project.start();
    assertMatch(stack.log(), new RegExp(`process ${orphan}\\)`));
    assertEquals(await noteTexts(stack), ["seed", "kept"]);
  });

  await t.step("Postgres is restarted after a crash", async () => {
    await using stack = await project.start();
    assertEquals(await noteTexts(stack), ["seed", "kept"]);
    // Requests are under way all the time: none may hang, and some come while there is no server.
    const statuses = new Set<number>();
    const asking = new AbortController();
    const askers = Array.from({ length: 8 }, async () => {
      while (!asking.signal.aborted) {
        const response = await rest(stack, "notes");
        await response.body?.cancel();
        statuses.add(response.status);
      }
    });
    await eventually("requests are answered", () => statuses.has(200));
    Deno.kill(await project.postgresPid(), "SIGKILL");
    await eventually("requests are refused", () => statuses.has(503));
    // A function does not need the database to answer.
    assertEquals(await text(await call(stack, "mortal")), "alive");
    statuses.clear();
    await eventually("requests are answered again", () => statuses.has(200));
    asking.abort();
    await Promise.all(askers);

    // The session that listens for changes must have been replaced as well.
    const sql = postgres(stack.info.db_url, { max: 1 });
    await sql`create table public.later as select 42 as answer`;
    await sql.end();
    await eventually(
      "a new table is known",
      async () => (await (await rest(stack, "later")).text()) === `[{"answer":42}]`,
    );
  });

  await t.step(
    "a second start on the same data is refused with the address of the first",
    async () => {
      await using first = await project.start();
      const { message } = await assertRejects(() => project.start(), Error);
      assertMatch(
        message,
        new RegExp(`already running: process ${first.pid}, ${first.info.api_url}`),
      );
      assertEquals(await noteTexts(first), ["seed", "kept"]);
    },
  );

  await t.step("a taken port is named, with what to do about it", async () => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = taken.addr;
    const onApiPort = await assertRejects(
      () => project.start({ args: ["--port", `${port}`] }),
      Error,
    );
    assertMatch(onApiPort.message, new RegExp(`code 1:\nerror: Port ${port} is taken.*--port 0`));

    await project.configure(port);
    const onDatabasePort = await assertRejects(() => project.start(), Error);
    assertMatch(
      onDatabasePort.message,
      new RegExp(`error: Port ${port} for the database is taken.*config.toml`),
    );
    assertEquals(await project.processes(), []);
  });

  await t.step("a new migration is applied at the next start", async () => {
    await project.configure();
    await project.write(
      "supabase/migrations/20250102000000_add_priority.sql",
      "alter table public.notes add column priority int not null default 3;",
    );
    const stack = await project.start();
    assertEquals(
      await text(await rest(stack, "notes?select=text,priority&order=id")),
      `[{"text":"seed","priority":3},{"text":"kept","priority":3}]`,
    );
    assertMatch(stack.log(), /applying migrations/);
    await stack.stop();

    const again = await project.start();
    assert(!again.log().includes("applying migrations"));
    await again.stop();
  });

  await t.step("data of another version are recognised, named, and kept", async () => {
    const migration = "supabase/migrations/20250102000000_add_priority.sql";
    const content = await project.read(migration);
    const expectRefusal = async (reason: RegExp) => {
      const { message } = await assertRejects(() => project.start(), Error);
      assertMatch(
        message,
        /error: The local database was made by another version of this project: /,
      );
      assertMatch(message, reason);
      assertMatch(message, new RegExp(`delete ${project.root}/.local/data; to keep the data, `));
    };

    await project.remove(migration);
    await expectRefusal(
      /the migration 20250102000000_add_priority is not in supabase.migrations\./,
    );
    await project.write(migration, content.replace("default 3", "default 4"));
    await expectRefusal(/the migration 20250102000000_add_priority is changed since then\./);

    await project.write(migration, content);
    await using stack = await project.start();
    assertEquals(await noteTexts(stack), ["seed", "kept"]);
  });
});

Deno.test("a signal during the start ends everything too", async () => {
  await using project = await ScratchProject.create();
  await project.write("supabase/migrations/20250102000000_wait.sql", "select pg_sleep(30);");
  const begin = Date.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "local/main.ts", "--port=0", `--workdir=${project.root}`],
    stdout: "null",
    stderr: "null",
  }).spawn();
  await eventually(
    "the migration runs",
    async () => (await project.processes()).some((line) => line.includes("db push")),
  );
  child.kill("SIGTERM");
  assertEquals((await child.status).code, 0);
  assert(Date.now() - begin < 20_000);
  await eventually("all is gone", async () => (await project.processes()).length === 0);
});

Deno.test("a migration that fails ends the start with the output of the CLI", async () => {
  await using project = await ScratchProject.create();
  await project.write("supabase/migrations/20250102000000_fail.sql", "select * from nowhere;");
  for (const args of [["--port", "0"], ["--port", "0", "--ephemeral"]]) {
    const { message } = await assertRejects(() => project.start({ args }), Error);
    assertMatch(message, /code 1:/);
    assertMatch(message, /20250102000000_fail.sql/);
    assertMatch(message, /relation "nowhere" does not exist/);
    assertEquals(await project.processes(), []);
  }
});

Deno.test("throw-away stacks run side by side, and leave nothing behind", async () => {
  await using project = await ScratchProject.create(ALIVE);
  const start = () => startStack({ workdir: project.root });
  const [one, other] = await Promise.all([start(), start()]);
  await rest(one, "notes", {
    method: "POST",
    body: `{"text":"mine"}`,
    headers: { apikey: one.info.secret_key },
  }).then((response) => response.body?.cancel());
  assertEquals(await noteTexts(one), ["seed", "mine"]);
  assertEquals(await noteTexts(other), ["seed"]);
  const folders = await throwawayFolders(one, other);

  assertEquals(await one.stop(), 0);
  // Even a stack that is killed leaves neither a server nor its files.
  await text(await call(other, "mortal"));
  await other.kill();
  await eventually("all is gone", async () => (await project.processes()).length === 0);
  for (const folder of folders) await assertRejects(() => Deno.stat(folder), Deno.errors.NotFound);
});

Deno.test("wrong options are explained", async () => {
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "local/main.ts", ...args],
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  };
  const [help, unknown, port, folder] = await Promise.all([
    run("--help"),
    run("--verbose"),
    run("--port", "many"),
    run("--workdir", "/nowhere"),
  ]);
  assertEquals([help.code, help.stderr], [0, ""]);
  assertMatch(help.stdout, /--ephemeral/);
  assertEquals([unknown.code, unknown.stdout], [2, ""]);
  assertMatch(unknown.stderr, /--verbose.*--help shows all options/s);
  assertEquals(
    port.stderr,
    "error: --port must be a whole number from 0 to 65535.\n" +
      "deno task start --help shows all options.\n",
  );
  assertMatch(folder.stderr, /config.toml does not exist/);
});

async function noteTexts(stack: Stack): Promise<string[]> {
  const notes = JSON.parse(await text(await rest(stack, "notes?select=text&order=id")));
  return notes.map((note: { text: string }) => note.text);
}

async function throwawayFolders(...stacks: Stack[]): Promise<string[]> {
  return await Promise.all(stacks.map(async (stack) => {
    const sql = postgres(stack.info.db_url, { max: 1 });
    const [row] = await sql`show data_directory`;
    await sql.end();
    return row!.data_directory;
  }));
}

async function parentOf(pid: number): Promise<number> {
  const { stdout } = await new Deno.Command("ps", { args: ["-o", "ppid=", "-p", `${pid}`] })
    .output();
  return Number(new TextDecoder().decode(stdout));
}
