/**
 * `deno task deploy`, as a process against an empty project behind a fake of the Management API.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import postgres from "postgres";
import { asRole, SUPERUSER } from "../../../local/postgres/roles.ts";
import { eventually } from "../../support/eventually.ts";
import { HostedProject, REF, type Run } from "../../support/hosted_project.ts";

/** Requests that change something of a project. What SQL stores is looked at instead. */
const CHANGES = /^(?:POST|PATCH|PUT|DELETE) (?!\/database\/query)/u;

/** Steps, and a request of each that a broken connection could cut off. */
const INTERRUPTIONS: readonly { step: string; request: RegExp; after?: number }[] = [
  // The first is that of the tool itself.
  { step: "link", request: /^GET \/$/u, after: 1 },
  { step: "migrations", request: /^POST \/cli\/login-role$/u },
  { step: "secrets", request: /^POST \/secrets$/u },
  { step: "functions", request: /^POST \/functions\/deploy$/u, after: 5 },
  { step: "functions", request: /^PUT \/functions$/u },
  // The first two look; one of the two values is stored, then.
  { step: "schedule", request: /^POST \/database\/query$/u, after: 3 },
  { step: "storage", request: /^POST \/database\/query$/u, after: 3 },
  { step: "data api", request: /^PATCH \/postgrest$/u },
  { step: "sign-up", request: /^PATCH \/config\/auth$/u },
  { step: "realtime", request: /^PATCH \/config\/realtime$/u },
];

Deno.test("a project gets from nothing to healthy, however often the way is cut off", async (test) => {
  await using project = await HostedProject.start();
  const { api, stack, checkout } = project;
  await using sql = disposable(asRole(stack.info.db_url, SUPERUSER));
  const envFile = join(checkout, "settings.env");
  await Deno.writeTextFile(
    envFile,
    'KAPSO_API_KEY="kapso-key-of-the-test"\nSUPABASE_URL=ignored\nSUMMARY_AI_KEY=\n',
  );
  const args = ["--env-file", envFile, "--sign-up", "closed"];
  args.push("--app-url", "https://inbox.test/", "--read-url", "https://replica.test/");
  const outputs: string[] = [];
  const deploy = async (more: string[] = []): Promise<Run> => {
    const run = await project.run("deploy", [...args, ...more]);
    outputs.push(run.stdout, run.stderr);
    return run;
  };

  await test.step("a dry run says what it would do, and changes nothing", async () => {
    const { code, stdout, stderr } = await deploy(["--dry-run"]);
    assertEquals([code, stderr], [0, ""]);
    assertStringIncludes(stdout, "Steps that would change something: 10. Nothing was changed.");
    assertEquals(api.requests.filter((request) => CHANGES.test(request)), []);
    const [vault] = await sql`select count(*)::int from vault.secrets`;
    assertEquals(vault!.count, 0);
  });

  for (const { step, request, after } of INTERRUPTIONS) {
    await test.step(`cut off in ${step} (${request.source}), it says so`, async () => {
      const respond = () => Response.json({ message: "not now" }, { status: 400 });
      api.failures.push({ request, respond, ...(after === undefined ? {} : { after }) });
      const { code, stderr } = await deploy();
      api.failures.length = 0;
      assertEquals(code, 1, stderr);
      assertMatch(stderr, new RegExp(`^error: Step \\d+ of 10, ${step}: `, "u"));
      assertStringIncludes(stderr, "Run the same command again to continue here.");
    });
    if (step !== "migrations") continue;
    await test.step("killed while migrations are applied, it leaves whole ones", async () => {
      const child = project.command("deploy", args).spawn();
      await eventually("three migrations are applied", async () => {
        const [history] = await sql`select count(*)::int from supabase_migrations.schema_migrations`
          .catch(() => []);
        return history?.count >= 3;
      });
      Deno.kill(-child.pid, "SIGKILL");
      await child.output();
      // The server sees the end of the connection a moment later.
      await eventually("its session has ended", async () => {
        const [activity] = await sql`
          select count(*)::int from pg_stat_activity where usename like 'cli\\_login\\_%'`;
        return activity!.count === 0;
      });
    });
  }

  await test.step("at last it is healthy", async () => {
    const { code, stdout, stderr } = await deploy();
    assertEquals([code, stderr], [0, ""], stdout);
    assertMatch(stdout, /checks: 0 problems, /u);
    assertStringIncludes(stdout, "✓ function messaging-ingest   Answers");
    assertEquals(api.settings["/config/auth"], {
      disable_signup: true,
      site_url: "https://inbox.test",
      uri_allow_list: "https://inbox.test/**",
    });
    assertEquals(api.settings["/config/realtime"].private_only, true);
    assertEquals(api.settings["/postgrest"].db_schema, "public,graphql_public");
    assertEquals([...api.secrets.keys()].toSorted(), ["CREDENTIALS_KEY", "KAPSO_API_KEY"]);
    assertEquals(atob(api.secrets.get("CREDENTIALS_KEY")!).length, 32);
    assertEquals(api.functions.size, 9);
    assert([...api.functions.values()].every(({ verify_jwt }) => !verify_jwt));
    assertEquals(
      [...await sql`select name, secret from vault.secrets order by name`].map((row) => ({
        ...row,
      })),
      [
        { name: "project_url", secret: stack.info.api_url },
        { name: "service_key", secret: stack.info.secret_key },
      ],
    );
    assertEquals(
      [...await sql`select id, public from storage.buckets`].map((row) => ({ ...row })),
      [
        { id: "media", public: false },
      ],
    );
    const [owner] = await sql`
      select tableowner from pg_tables where schemaname = 'public' and tablename = 'conversations'`;
    assertEquals(owner!.tableowner, "postgres");
    const folder = join(checkout, ".local/deploy", REF);
    assertEquals(JSON.parse(await Deno.readTextFile(join(folder, "app/config.json"))), {
      api_url: stack.info.api_url,
      read_url: "https://replica.test",
      publishable_key: stack.info.publishable_key,
      has_realtime: true,
    });
    assertMatch(await Deno.readTextFile(join(folder, "app/index.html")), /<div id="root">/u);
    const kept = await Deno.stat(join(folder, "secrets.env"));
    assertEquals((kept.mode ?? 0) & 0o777, 0o600);
  });

  await test.step("the same again changes nothing", async () => {
    const before = { requests: api.requests.length, functions: [...api.functions.values()] };
    const { code, stdout } = await deploy();
    assertEquals(code, 0);
    assertStringIncludes(stdout, "Nothing has changed.");
    assertEquals(stdout.match(/→/gu)?.length ?? 0, stdout.match(/ → /gu)?.length ?? 0);
    assertEquals(api.requests.slice(before.requests).filter((each) => CHANGES.test(each)), []);
    assertEquals([...api.functions.values()], before.functions);
  });

  await test.step("changed code is deployed, also after the first attempt was killed", async () => {
    const file = join(checkout, "supabase/functions/inbox/index.ts");
    await Deno.writeTextFile(file, `${await Deno.readTextFile(file)}\n// changed\n`);
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
    const { promise: isOver, resolve: end } = Promise.withResolvers<void>();
    const respond = async () => {
      reach();
      await isOver;
      return new Response(null, { status: 502 });
    };
    api.failures.push({ request: /^PUT \/functions$/u, respond });
    const child = project.command("deploy", args).spawn();
    await reached;
    Deno.kill(-child.pid, "SIGKILL");
    await child.output();
    end();
    api.failures.length = 0;
    const { code, stdout } = await deploy();
    assertEquals(code, 0);
    assertStringIncludes(stdout, "→ functions   Deploy 9 functions");
    assertEquals(stdout.match(/^→/gmu)?.length, 1);
  });

  await test.step("another CREDENTIALS_KEY is refused, because stored keys would be lost", async () => {
    await Deno.writeTextFile(envFile, `CREDENTIALS_KEY="${btoa("x".repeat(32))}"\n`);
    const { code, stderr } = await deploy();
    assertEquals(code, 2);
    assertStringIncludes(stderr, "CREDENTIALS_KEY of the project differs");
  });

  await test.step("migrations that this checkout lacks are named", async () => {
    await Deno.writeTextFile(envFile, "");
    await sql`insert into supabase_migrations.schema_migrations (version) values ('20991231000000')`;
    const { code, stderr } = await deploy();
    assertEquals(code, 1);
    assertStringIncludes(stderr, "migrations that this checkout lacks: 20991231000000");
  });

  await test.step("the doctor finds the project by its ref", async () => {
    const { code, stdout } = await project.run("doctor");
    assertStringIncludes(
      stdout,
      "✓ secrets                     Set: CREDENTIALS_KEY, KAPSO_API_KEY.",
    );
    assertEquals(code, 0);
  });

  await test.step("no secret was printed", () => {
    const secrets = [stack.info.secret_key, ...api.secrets.values()];
    for (const output of outputs) {
      for (const secret of secrets) assert(!output.includes(secret));
    }
  });
});

function disposable(url: string): postgres.Sql & AsyncDisposable {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  return Object.assign(sql, { [Symbol.asyncDispose]: () => sql.end() });
}
