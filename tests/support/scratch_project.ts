/**
 * A small Supabase project in a temporary folder, so that these tests depend on `local/` alone and
 * not on the migrations and functions of this repository.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { findFreePort } from "../../local/ports.ts";
import { type Stack, startStack, type StartStackOptions } from "../../local/spawn_stack.ts";

const MIGRATION = `
create schema private;
create table private.hidden (id int);
alter table private.hidden enable row level security;
create table public.notes (id bigint generated always as identity primary key, text text not null);
alter table public.notes enable row level security;
create policy "Everybody can read" on public.notes for select to anon, authenticated using (true);
create function public.count_items(items jsonb) returns int
  language sql stable set search_path = '' as 'select jsonb_array_length(items)';
`;

/** One project folder; removed when it is disposed of. */
export class ScratchProject implements AsyncDisposable {
  private constructor(readonly root: string) {}

  /** Makes a project with one table, one note in it, and the given functions. */
  static async create(functions: Record<string, string> = {}): Promise<ScratchProject> {
    const project = new ScratchProject(await Deno.makeTempDir({ prefix: "stack-test-" }));
    // Postgres may run as another user than the one who runs the tests.
    await Deno.chmod(project.root, 0o755);
    await project.write("supabase/migrations/20250101000000_create_notes.sql", MIGRATION);
    await project.write("supabase/seed.sql", "insert into public.notes (text) values ('seed');");
    await project.write("import_map.json", `{"imports":{}}`);
    await project.configure();
    for (const [name, code] of Object.entries(functions)) await project.writeFunction(name, code);
    return project;
  }

  /** Writes `config.toml`; every function but `secure` is open. */
  async configure(databasePort = findFreePort()): Promise<void> {
    const open = ["echo", "stream", "broken", "changing", "mortal"];
    await this.write(
      "supabase/config.toml",
      `[db]\nport = ${databasePort}\n` +
        open.map((name) => `[functions.${name}]\nverify_jwt = false\n`).join("") +
        `import_map = "../import_map.json"\n`,
    );
  }

  async writeFunction(name: string, code: string): Promise<void> {
    await this.write(`supabase/functions/${name}/index.ts`, code);
  }

  async write(path: string, text: string): Promise<void> {
    const file = join(this.root, path);
    await Deno.mkdir(dirname(file), { recursive: true });
    await Deno.writeTextFile(file, text);
  }

  async read(path: string): Promise<string> {
    return await Deno.readTextFile(join(this.root, path));
  }

  async remove(path: string): Promise<void> {
    await Deno.remove(join(this.root, path));
  }

  /** Starts it on data that stay, on a free port. */
  async start(options: StartStackOptions = {}): Promise<Stack> {
    return await startStack({ args: ["--port", "0"], ...options, workdir: this.root });
  }

  /** The secrets of the stack on the data that stay. */
  async secrets(): Promise<{ jwt_secret: string }> {
    return JSON.parse(await Deno.readTextFile(join(this.root, ".local/secrets.json")));
  }

  /** Command lines of all processes that have to do with the project. */
  async processes(): Promise<string[]> {
    if (Deno.build.os !== "linux") {
      const { stdout } = await new Deno.Command("ps", { args: ["-axo", "args="] }).output();
      return new TextDecoder().decode(stdout).split("\n").filter((line) =>
        line.includes(this.root)
      );
    }
    const found: string[] = [];
    for await (const { name } of Deno.readDir("/proc")) {
      if (!/^[0-9]+$/.test(name)) continue;
      // A process may end while it is looked at.
      const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
      if (line.includes(this.root)) found.push(line.replaceAll("\0", " "));
    }
    return found;
  }

  /** The process number of its Postgres. */
  async postgresPid(): Promise<number> {
    const file = await Deno.readTextFile(join(this.root, ".local/data/postmaster.pid"));
    return Number(file.split("\n")[0]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

/** Sends a request to the REST API with the publishable key. */
export function rest(stack: Stack, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${stack.info.api_url}/rest/v1/${path}`, {
    ...init,
    headers: {
      apikey: stack.info.publishable_key,
      "content-type": "application/json",
      ...init.headers,
    },
  });
}

/** Sends a request to a function. */
export function call(stack: Stack, path: string, init?: RequestInit): Promise<Response> {
  return fetch(`${stack.info.api_url}/functions/v1/${path}`, init);
}

/** Returns the body as text if the status is as expected. */
export async function text(response: Response, status = 200): Promise<string> {
  const body = await response.text();
  if (response.status !== status) throw new Error(`status ${response.status}: ${body}`);
  return body;
}
