/**
 * The OpenAPI document and the page of the docs say what the functions do.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Validator } from "@seriousme/openapi-schema-validator";
import { createOpenApi, OPENAPI_PATH } from "../../../cli/openapi.ts";
import { useDatabase } from "../../support/database.ts";
import { signUp } from "../../support/users.ts";
import { ask } from "../../support/agents.ts";

const database = useDatabase();

interface Operation {
  parameters?: { in: string; name: string; required?: boolean }[];
  requestBody?: {
    content: Record<string, { schema: { properties: object; required?: string[] } }>;
  };
  security: unknown[];
  responses: Record<string, unknown>;
}
interface OpenApi {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
}

Deno.test("the document is valid OpenAPI 3.1, and public", async () => {
  const { status, body } = await ask(database.info, "GET", "/openapi.json");
  assertEquals([status, body.openapi], [200, "3.1.0"]);
  const result = await new Validator().validate(body);
  assertEquals(result.errors, undefined);
  assert(result.valid);
});

Deno.test("the document is what the schemas say: `deno task openapi`", async () => {
  assertEquals(JSON.parse(await Deno.readTextFile(OPENAPI_PATH)), createOpenApi());
});

Deno.test("every function is in the document, and each of its paths exists", async () => {
  const { paths } = createOpenApi() as unknown as OpenApi;
  const described = new Set(Object.keys(paths).map((path) => path.split("/")[1]!));
  const folders = [...Deno.readDirSync(new URL("../../../supabase/functions", import.meta.url))]
    .filter((entry) => entry.isDirectory && !entry.name.startsWith("_"))
    .map((entry) => entry.name);
  assertEquals([...described].sort(), folders.sort());
  const { client } = await signUp(database.info);
  const { data } = await client.auth.getSession();
  for (const path of Object.keys(paths)) {
    const address = concrete(path);
    // /people/merge is also an address of /people/{id}.
    const methods = Object.entries(paths)
      .filter(([other]) => patternOf(other).test({ pathname: address }))
      .flatMap(([, other]) => Object.keys(other).map((method) => method.toUpperCase()));
    assertEquals(
      await allowedMethods(address, data.session!.access_token),
      [...new Set([...methods, "OPTIONS"])].sort(),
      path,
    );
  }
});

Deno.test("docs/api/conversation-sync.md has every path with every field", async () => {
  const { paths } = createOpenApi() as unknown as OpenApi;
  const page = await Deno.readTextFile(
    new URL("../../../docs/api/conversation-sync.md", import.meta.url),
  );
  const rows = [...page.matchAll(/^\| ([A-Z]+) `(\/\S+)` \|(.*?)\| /gm)]
    .map(([, method, path, fields]) => [
      `${method} ${path}`,
      [...fields!.matchAll(/`(\w+\??)`/g)].map(([, name]) => name!).sort(),
    ]);
  const documented = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => [
      `${method.toUpperCase()} ${
        path.replace("/conversation-sync", "").replaceAll(/\{(\w+)\}/g, ":$1")
      }`,
      fieldsOf(operation),
    ])
  ).filter(([name]) => (name as string).includes("/api/v1/"));
  assertEquals(documented.length, 17);
  const byName = (list: unknown[][]) =>
    list.toSorted((one, other) => String(one[0]).localeCompare(String(other[0])));
  assertEquals(byName(rows), byName(documented));
});

/** A path with a value for each of its parameters. */
function concrete(path: string): string {
  return path.replaceAll(/\{\w+\}/g, "x");
}

/** What a path is an address of. */
function patternOf(path: string): URLPattern {
  return new URLPattern({ pathname: path.replaceAll(/\{(\w+)\}/g, ":$1") });
}

/** A method that a path does not have is answered with those it has. */
async function allowedMethods(path: string, token: string): Promise<string[]> {
  const response = await fetch(`${database.info.api_url}/functions/v1${path}`, {
    method: "PROPFIND",
    // Of a person: some functions have the platform turn everybody else away.
    headers: { authorization: `Bearer ${token}` },
  });
  await response.body?.cancel();
  assertEquals(response.status, 405, path);
  return response.headers.get("allow")!.split(", ").sort();
}

/** Fields of body and query; a question mark where one may be missing. */
function fieldsOf({ parameters = [], requestBody }: Operation): string[] {
  const body = requestBody?.content["application/json"]?.schema;
  const optional = (name: string, isRequired: boolean) => isRequired ? name : `${name}?`;
  return [
    ...parameters.filter((parameter) => parameter.in === "query")
      .map(({ name, required = false }) => optional(name, required)),
    ...Object.keys(body?.properties ?? {})
      .map((name) => optional(name, body!.required?.includes(name) ?? false)),
  ].sort();
}
