/**
 * Where the app sends its requests when the project has a read replica.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import { createReplicaFetch, SETTLE_MS } from "../../../app/src/api/replica_fetch.ts";

interface Answerer extends AsyncDisposable {
  url: string;
  /** Method and path of each request. */
  seen: string[];
  status: number;
}

function serve(): Answerer {
  const answerer: Answerer = {
    url: "",
    seen: [],
    status: 200,
    [Symbol.asyncDispose]: () => stop(),
  };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { pathname, search } = new URL(request.url);
    answerer.seen.push(`${request.method} ${pathname}${search}`);
    return new Response(null, { status: answerer.status });
  });
  const stop = () => server.shutdown();
  answerer.url = `http://127.0.0.1:${server.addr.port}`;
  return answerer;
}

const LIST = "/rest/v1/rpc/search_conversations?workspace_id=1";

Deno.test("reads go to the replica, and everything else to the primary", async () => {
  await using primary = serve();
  await using replica = serve();
  const clock = { now: 1_000_000 };
  const { fetch, noteChange } = createReplicaFetch(primary.url, replica.url, () => clock.now);
  const read = async () => {
    primary.seen.length = replica.seen.length = 0;
    const { status } = await fetch(`${primary.url}${LIST}`, { headers: { apikey: "key" } });
    assertEquals(status, 200);
    return [primary.seen.length, replica.seen.length];
  };
  assertEquals(await read(), [0, 1]);
  assertEquals(replica.seen, [`GET ${LIST}`]);
  await fetch(`${primary.url}/auth/v1/user`);
  assertEquals(primary.seen, ["GET /auth/v1/user"]);

  await fetch(`${primary.url}/rest/v1/tags`, { method: "POST" });
  assertEquals(await read(), [1, 0], "a change may not be on the replica yet");
  clock.now += SETTLE_MS - 1;
  assertEquals(await read(), [1, 0]);
  clock.now += 1;
  assertEquals(await read(), [0, 1]);
  await fetch(`${primary.url}/rest/v1/rpc/search_messages`, { method: "POST" });
  assertEquals(await read(), [0, 1], "a search changes nothing");
  noteChange();
  assertEquals(await read(), [1, 0], "nor is one that was announced");
});

Deno.test("a read that the replica cannot answer goes to the primary", async () => {
  await using primary = serve();
  await using replica = serve();
  const { fetch } = createReplicaFetch(primary.url, replica.url);
  replica.status = 503;
  assertEquals((await fetch(`${primary.url}${LIST}`)).status, 200);
  // A refusal is an answer.
  replica.status = 403;
  assertEquals((await fetch(`${primary.url}${LIST}`)).status, 403);
  const away = createReplicaFetch(primary.url, "http://127.0.0.1:1");
  assertEquals((await away.fetch(`${primary.url}${LIST}`)).status, 200);
  assertEquals(primary.seen.length, 2);
  const signal = AbortSignal.abort();
  await assertRejects(() => fetch(`${primary.url}${LIST}`, { signal }), DOMException);
});

Deno.test("without a replica, everything goes to the primary", async () => {
  await using primary = serve();
  const { fetch } = createReplicaFetch(primary.url, undefined);
  await fetch(`${primary.url}${LIST}`);
  primary.status = 503;
  await fetch(`${primary.url}${LIST}`);
  assertEquals(primary.seen, [`GET ${LIST}`, `GET ${LIST}`]);
});
