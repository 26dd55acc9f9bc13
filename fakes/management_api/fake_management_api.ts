/**
 * A fake of Supabase's Management API for one project, as far as a deployment uses it. Its database is a real one, and
 * its functions are files that a stack runs. Paths, fields and statuses are those of the API's OpenAPI document.
 *
 * What the real one does differently: it bundles functions and refuses code that does not bundle; changes of settings
 * restart services and take seconds to be seen; it answers 429 after 120 requests in a minute of one user; a login role
 * is a user of the pooler, which speaks TLS.
 *
 * @module
 */

import { createHash, randomUUID } from "node:crypto";
import { dirname, join, normalize } from "node:path";
import { type Context, Hono } from "hono";
import postgres from "postgres";
import { addHostedParts } from "./hosted_parts.ts";

/** What the fake stands on. */
export interface FakeManagementApiOptions {
  readonly ref: string;
  readonly token: string;
  /** The keys of the project. */
  readonly keys: { readonly publishable: string; readonly secret: string };
  /** Addresses of the project's database: of its superuser, and of `postgres`. */
  readonly database: { readonly adminUrl: string; readonly ownerUrl: string };
  /** The folder that gets the sources of functions and their settings. */
  readonly folder: string;
  /** 0: a free one. */
  readonly port?: number;
}

/** A deployed function. */
interface DeployedFunction {
  id: string;
  slug: string;
  name: string;
  status: "ACTIVE";
  version: number;
  verify_jwt: boolean;
  import_map: boolean;
  entrypoint_path: string;
  created_at: number;
  updated_at: number;
}

/** An answer in the place of the right one. */
export interface Failure {
  /** Requests it answers: `POST /secrets`, without the part before the project. */
  readonly request: RegExp;
  readonly respond: () => Response | Promise<Response>;
  /** How many of them get the right answer first. */
  after?: number;
}

/** A running fake. */
export interface FakeManagementApi extends AsyncDisposable {
  readonly url: string;
  /** All requests so far, as `POST /secrets`. */
  readonly requests: string[];
  readonly failures: Failure[];
  readonly secrets: Map<string, string>;
  readonly functions: Map<string, DeployedFunction>;
  /** The settings of services, by path. */
  readonly settings: {
    readonly "/postgrest": Record<string, unknown>;
    readonly "/config/auth": Record<string, unknown>;
    readonly "/config/realtime": Record<string, unknown>;
  };
  project: { status: string };
}

/** Starts the fake, and gives its database what hosted ones have. */
export async function startFakeManagementApi(
  options: FakeManagementApiOptions,
): Promise<FakeManagementApi> {
  const { ref, token, keys, database, folder } = options;
  const admin = postgres(database.adminUrl, { max: 2, onnotice: () => {} });
  const owner = postgres(database.ownerUrl, { max: 2, onnotice: () => {} });
  await addHostedParts(admin);

  const requests: string[] = [];
  const failures: Failure[] = [];
  const secrets = new Map<string, string>();
  const functions = new Map<string, DeployedFunction>();
  const project = { status: "ACTIVE_HEALTHY" };
  const settings = {
    "/postgrest": { db_schema: "graphql_public", max_rows: 1000, db_extra_search_path: "public" },
    "/config/auth": {
      disable_signup: false,
      site_url: "http://localhost:3000",
      uri_allow_list: "",
    },
    "/config/realtime": { private_only: null as boolean | null, max_concurrent_users: 200 },
  };

  const app = new Hono();
  app.notFound(() => refuse(404, "Cannot find the path"));
  app.onError((error) => refuse(500, error.message));
  app.use(async (context, next) => {
    const path = context.req.path.replace(`/v1/projects/${ref}`, "");
    const request = `${context.req.method} ${path || "/"}`;
    requests.push(request);
    if (context.req.header("authorization") !== `Bearer ${token}`) {
      return refuse(401, "Unauthorized");
    }
    const failure = failures.find((each) => each.request.test(request));
    if (failure?.after) failure.after--;
    else if (failure !== undefined) return await failure.respond();
    await next();
  });

  const routes = new Hono();
  routes.get("/", (context) =>
    context.json({
      id: ref,
      ref,
      organization_id: "organization",
      organization_slug: "organization",
      name: "Bakery",
      region: "eu-central-1",
      created_at: "2026-11-01T08:00:00Z",
      status: project.status,
      database: {
        host: `db.${ref}.supabase.co`,
        version: "17.6.1.054",
        postgres_engine: "17",
        release_channel: "ga",
      },
    }));
  routes.get("/api-keys", (context) => {
    const reveal = context.req.query("reveal") === "true";
    const key = (name: string, type: string, value: string) => ({
      id: randomUUID(),
      name,
      type,
      api_key: reveal ? value : `${value.slice(0, 8)}···`,
    });
    return context.json([
      key("anon", "legacy", "legacy-anon"),
      key("service_role", "legacy", "legacy-service-role"),
      key("default", "publishable", keys.publishable),
      key("default", "secret", keys.secret),
    ]);
  });

  routes.get("/secrets", (context) =>
    context.json([...secrets].map(([name, value]) => ({
      name,
      value: createHash("sha256").update(value).digest("hex"),
      updated_at: "2026-11-01T08:00:00Z",
    }))));
  routes.post("/secrets", async (context) => {
    const given: { name: string; value: string }[] = await context.req.json();
    if (given.some(({ name }) => name.startsWith("SUPABASE_"))) {
      return refuse(400, "name: must not start with SUPABASE_");
    }
    for (const { name, value } of given) secrets.set(name, value);
    const lines = [...secrets].map(([name, value]) => `${name}="${value}"\n`);
    await write(join(folder, "supabase/functions/.env"), lines.join(""));
    return context.body(null, 201);
  });

  routes.get("/functions", (context) => context.json([...functions.values()]));
  routes.post("/functions/deploy", async (context) => {
    const slug = context.req.query("slug");
    const form = await context.req.formData();
    const metadata = JSON.parse(await readPart(form.get("metadata")));
    if (!slug || form.getAll("file").length === 0) return refuse(400, "Function has no files");
    for (const file of form.getAll("file")) {
      if (typeof file === "string") return refuse(400, "file: must be a file");
      const path = normalize(join(folder, file.name));
      if (!path.startsWith(`${folder}/`)) return refuse(400, `${file.name} leaves the project`);
      await write(path, await file.text());
    }
    const now = Date.now();
    const present = functions.get(slug);
    const deployed: DeployedFunction = {
      id: present?.id ?? randomUUID(),
      slug,
      name: metadata.name ?? slug,
      status: "ACTIVE",
      version: (present?.version ?? 0) + 1,
      verify_jwt: metadata.verify_jwt ?? true,
      import_map: metadata.import_map_path !== undefined,
      entrypoint_path: metadata.entrypoint_path,
      created_at: present?.created_at ?? now,
      updated_at: now,
    };
    if (context.req.query("bundleOnly") === undefined) functions.set(slug, deployed);
    return context.json(deployed, 201);
  });
  routes.put("/functions", async (context) => {
    const given: DeployedFunction[] = await context.req.json();
    for (const each of given) {
      functions.set(each.slug, { ...functions.get(each.slug), ...each, updated_at: Date.now() });
    }
    return context.json({ functions: [...functions.values()] });
  });

  routes.get("/database/migrations", async (context) => {
    const [history] =
      await owner`select to_regclass('supabase_migrations.schema_migrations') as name`;
    if (history?.name === null) return context.json([]);
    return context.json(
      await owner`select version, name from supabase_migrations.schema_migrations order by version`,
    );
  });
  routes.post("/database/query", async (context) => {
    const { query, parameters = [] } = await context.req.json();
    try {
      return context.json(await owner.unsafe(query, parameters), 201);
    } catch (error) {
      return refuse(400, `Failed to run sql query: ${error instanceof Error ? error.message : ""}`);
    }
  });
  routes.post("/cli/login-role", async (context) => {
    const role = "cli_login_postgres";
    const password = randomUUID();
    // The pooler cuts the project off the name of the user; here is no pooler.
    const [statement] = await admin`
      select format(
        $statement$do $do$ begin
          if not exists (select from pg_roles where rolname = %1$L) then create role %1$I; end if;
          alter role %1$I login noinherit password %2$L valid until %3$L;
          grant postgres to %1$I;
        end $do$$statement$,
        ${`${role}.${ref}`}::text, ${password}::text, (now() + interval '5 minutes')::text
      ) as text`;
    await admin.unsafe(statement!.text);
    return context.json({ role, password, ttl_seconds: 300 }, 201);
  });
  routes.get("/config/database/pooler", (context) => {
    const { hostname, port } = new URL(database.ownerUrl);
    return context.json([{
      identifier: ref,
      database_type: "PRIMARY",
      is_using_scram_auth: true,
      db_user: `postgres.${ref}`,
      db_host: hostname,
      db_port: Number(port),
      db_name: "postgres",
      connection_string:
        `postgresql://postgres.${ref}:[YOUR-PASSWORD]@${hostname}:${port}/postgres`,
      pool_mode: "session",
      default_pool_size: null,
      max_client_conn: null,
    }]);
  });
  routes.get("/storage/buckets", async (context) =>
    context.json(
      await admin`
      select id, name, coalesce(owner::text, '') as owner, created_at, updated_at, public from storage.buckets`,
    ));
  routes.get("/config/storage", (context) => context.json({ fileSizeLimit: 52_428_800 }));

  for (const [path, values] of Object.entries(settings)) {
    routes.get(path, (context) => context.json(values));
    routes.patch(path, async (context: Context) => {
      Object.assign(values, await context.req.json());
      return context.json(values);
    });
  }

  app.route(`/v1/projects/${ref}`, routes);
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: options.port ?? 0, onListen: () => {} },
    app.fetch,
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    requests,
    failures,
    secrets,
    functions,
    settings,
    project,
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await Promise.all([admin.end(), owner.end()]);
    },
  };
}

function refuse(status: number, message: string): Response {
  return Response.json({ message }, { status });
}

async function readPart(part: FormDataEntryValue | null): Promise<string> {
  return part instanceof File ? await part.text() : part ?? "";
}

async function write(path: string, text: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, text);
}
