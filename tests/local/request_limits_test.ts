/**
 * The limits of the gateway, and the port that stays open.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  limitRequests,
  REQUEST_LIMITS,
  type RequestLimits,
} from "../../local/gateway/request_limits.ts";
import { startStack } from "../../local/spawn_stack.ts";
import { eventually } from "../support/eventually.ts";
import { ScratchProject } from "../support/scratch_project.ts";

const KB = 1024;

/** A gateway behind its limits. It answers with the size of the body, once it is let go. */
function serve(limits: Partial<RequestLimits>) {
  const { promise: released, resolve: letGo } = Promise.withResolvers<void>();
  let running = 0;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    limitRequests(async (request) => {
      running++;
      if (request.url.endsWith("early")) return new Response("no", { status: 401 });
      const { byteLength } = await request.arrayBuffer();
      const { promise: gone, resolve: leave } = Promise.withResolvers<void>();
      request.signal.addEventListener("abort", () => leave());
      await Promise.race([released, gone]);
      return new Response(`${byteLength}`);
    }, { limits: { ...REQUEST_LIMITS, ...limits }, secretKey: "secret" }),
  );
  const url = `http://127.0.0.1:${server.addr.port}`;
  return {
    port: server.addr.port,
    letGo,
    running: () => running,
    async send(path: string, body?: BodyInit, headers: HeadersInit = {}) {
      const init = body === undefined ? { headers } : { method: "POST", body, headers };
      const response = await fetch(url + path, init);
      return [response.status, await response.text(), response.headers.get("retry-after")];
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** A body without a declared length. */
function stream(bytes: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      if (left <= 0) return controller.close();
      controller.enqueue(new Uint8Array(Math.min(left, 16 * KB)));
      left -= 16 * KB;
    },
  });
}

const BUSY = [
  503,
  '{"code":"too_many_requests","message":"Too many requests at the same time. Nothing was processed"}',
  "1",
];

Deno.test("more requests than the limit get 503 at once, and a freed place is used again", async () => {
  await using gateway = serve({ maxRequests: 3 });
  const taken = Array.from({ length: 3 }, () => gateway.send("/functions/v1/one", "body"));
  await eventually("they run", () => gateway.running() === 3);
  assertEquals(await gateway.send("/functions/v1/one", "body"), BUSY);
  // Functions need the API for what they have begun.
  const api = Array.from({ length: 12 }, () => gateway.send("/rest/v1/table"));
  await eventually("they run", () => gateway.running() === 15);
  assertEquals(await gateway.send("/rest/v1/table"), BUSY);
  const own = gateway.send("/rest/v1/table", undefined, { apikey: "secret" });
  await eventually("it runs", () => gateway.running() === 16);
  gateway.letGo();
  for (const answer of await Promise.all([...taken, ...api, own])) assertEquals(answer[0], 200);
  assertEquals(await gateway.send("/functions/v1/one", "body"), [200, "4", null]);
});

Deno.test("a body over the limit gets 413, declared or not, and the client reads the answer", async () => {
  await using gateway = serve({ maxBytes: 200 * KB });
  gateway.letGo();
  const tooLarge = [413, '{"code":"body_too_large","message":"Request body too large"}', null];
  for (const path of ["/functions/v1/one", "/rest/v1/rpc/one"]) {
    assertEquals(await gateway.send(path, new Uint8Array(200 * KB)), [200, `${200 * KB}`, null]);
    assertEquals(await gateway.send(path, stream(200 * KB)), [200, `${200 * KB}`, null]);
    for (let round = 0; round < 10; round++) {
      assertEquals(await gateway.send(path, new Uint8Array(3000 * KB)), tooLarge);
      assertEquals(await gateway.send(path, stream(3000 * KB)), tooLarge);
    }
  }
});

Deno.test("an answer before the body was read reaches the client", async () => {
  await using gateway = serve({});
  for (let round = 0; round < 10; round++) {
    assertEquals(await gateway.send("/early", new Uint8Array(3000 * KB)), [401, "no", null]);
    assertEquals(await gateway.send("/early", stream(3000 * KB)), [401, "no", null]);
  }
});

Deno.test("bodies that together need too much memory get 503", async () => {
  await using gateway = serve({ maxBodyBytes: 250 * KB });
  const first = gateway.send("/functions/v1/one", new Uint8Array(200 * KB));
  await eventually("it runs", () => gateway.running() === 1);
  assertEquals(await gateway.send("/functions/v1/one", new Uint8Array(100 * KB)), BUSY);
  assertEquals(await gateway.send("/functions/v1/one", stream(100 * KB)), BUSY);
  gateway.letGo();
  assertEquals((await first)[0], 200);
  assertEquals((await gateway.send("/functions/v1/one", stream(100 * KB)))[0], 200);
});

Deno.test("a client that stops sending gets 408, and its place is free again", async () => {
  await using gateway = serve({ maxRequests: 1, pauseMs: 100 });
  gateway.letGo();
  for (const length of [10, 100_000]) {
    using slow = await Deno.connect({ hostname: "127.0.0.1", port: gateway.port });
    await slow.write(new TextEncoder().encode(
      `POST /functions/v1/one HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\nabc`,
    ));
    const buffer = new Uint8Array(1000);
    const size = await slow.read(buffer);
    assertEquals(new TextDecoder().decode(buffer.subarray(0, size!)).slice(0, 12), "HTTP/1.1 408");
  }
  await eventually(
    "the place is free",
    async () => (await gateway.send("/functions/v1/one", "abc"))[0] === 200,
  );
});

Deno.test("a client that goes away frees its place", async () => {
  await using gateway = serve({ maxRequests: 1 });
  for (let round = 0; round < 5; round++) {
    const ran = gateway.running();
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: gateway.port });
    await connection.write(new TextEncoder().encode(
      `POST /functions/v1/one HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc`,
    ));
    await eventually("it runs", () => gateway.running() > ran);
    connection.close();
    await eventually("its place is free", async () => {
      const [status] = await gateway.send("/functions/v1/early", "abc");
      return status === 401;
    });
  }
  gateway.letGo();
});

Deno.test({
  name: "half-open connections without end do not close the port of the stack",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using project = await ScratchProject.create({
      echo: `Deno.serve(() => new Response("alive"));`,
    });
    await using stack = await startStack({ workdir: project.root, maxOpenFiles: 400 });
    const url = `${stack.info.api_url}/functions/v1/echo`;
    assertEquals(await (await fetch(url)).text(), "alive");
    const open: Deno.Conn[] = [];
    const port = Number(new URL(url).port);
    // As many as the stack accepts, and more.
    for (let count = 0; count < 600; count++) {
      try {
        open.push(await Deno.connect({ hostname: "127.0.0.1", port }));
      } catch { /* Refused while the port is opened again. */ }
    }
    await eventually("the stack noticed", () => stack.log().includes("no more can be accepted"));
    await eventually("it answers", async () => {
      try {
        return await (await fetch(url)).text() === "alive";
      } catch {
        return false;
      }
    });
    for (const connection of open) {
      try {
        connection.close();
      } catch { /* The stack has closed it. */ }
    }
  },
});
