/**
 * A caller with a wrong key learns only that: neither what is wrong with the request, nor which ids exist.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { createOpenApi } from "../../cli/openapi.ts";
import { useDatabase } from "../support/database.ts";
import { DEMO_CONNECTIONS } from "../../local/demo.ts";
import { call } from "../support/users.ts";

const database = useDatabase();

const NOBODYS_ID = "00000000-0000-4000-8000-0000000000ff";

interface Operation {
  security: unknown[];
  requestBody?: unknown;
}

/** Operations for people and programs with a key; those for the service key alone say 403 to others. */
function closedOperations(): [method: string, path: string, hasBody: boolean][] {
  const { paths } = createOpenApi() as { paths: Record<string, Record<string, Operation>> };
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(([, { security }]) =>
        security.length > 0 && !security.every((scheme) => "serviceKey" in (scheme as object))
      )
      .map(([method, { requestBody }]): [string, string, boolean] => [
        method.toUpperCase(),
        path.slice(1).replaceAll(/\{\w+\}/g, NOBODYS_ID),
        requestBody !== undefined,
      ])
  );
}

Deno.test("a wrong key with a wrong request is 401, at every path", async (t) => {
  const { connection_id, platform } = DEMO_CONNECTIONS.whatsapp;
  const headers = {
    authorization: "Bearer unknown",
    "x-api-key": "unknown",
    "x-connection-id": connection_id,
    "x-webhook-signature": "unknown",
  };
  const wrong = `?limit=many&date=never&max=-1&conversation_id=${NOBODYS_ID}`;
  // The only body a key can be compared with names its connection.
  const body = JSON.stringify({ connection_id, platform, conversations: "none", version: "x" });
  for (const [method, path, hasBody] of closedOperations()) {
    await t.step(`${method} ${path}`, async () => {
      const json = { "content-type": "application/json" };
      const requests: [Record<string, string>, string | undefined][] = [
        [hasBody ? json : {}, hasBody ? body : undefined],
      ];
      if (hasBody && !path.startsWith("messaging-ingest")) {
        requests.push([json, "{"], [{ "content-type": "text/plain" }, body]);
      }
      for (const [more, text] of requests) {
        const answer = await call(database.info, path + wrong, {
          method,
          headers: { ...headers, ...more },
          ...(text === undefined ? {} : { body: text }),
        });
        assertEquals(answer.status, 401, `${text}: ${JSON.stringify(answer.body)}`);
      }
    });
  }
});
