/**
 * What a client can do to Realtime of the local stack: nothing that ends it, and nothing without a bound.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { MAX_CONNECTIONS } from "../../../local/realtime/limits.ts";
import { type Stack, startStack } from "../../../local/spawn_stack.ts";
import { eventually } from "../../support/eventually.ts";
import { connectClient, connectRaw, type RawConnection, socketUrl } from "./support.ts";

const TOPIC = "realtime:bounds";
const JOIN = ["1", "1", TOPIC, "phx_join", { config: { broadcast: { self: true } } }];

/** Status and error of a handshake that is refused. */
async function refusal(
  stack: Stack,
  query: string,
  { without = "no header" } = {},
): Promise<[number, unknown]> {
  const { hostname, port } = new URL(stack.info.api_url);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const lines = handshake(`/realtime/v1/websocket?${query}`).split("\r\n");
  const sent = lines.filter((line) => !line.startsWith(without)).join("\r\n");
  await connection.write(new TextEncoder().encode(sent));
  let text = "";
  for await (const chunk of connection.readable.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
    if (text.includes("\r\n\r\n") && text.length >= text.indexOf("\r\n\r\n") + 4 + length) break;
  }
  const body = text.slice(text.indexOf("\r\n\r\n") + 4);
  return [Number(text.split(" ")[1]), body === "" ? undefined : JSON.parse(body).error];
}

function handshake(path: string): string {
  return [
    `GET ${path} HTTP/1.1`,
    "Host: localhost",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${btoa("0123456789abcdef")}`,
    "\r\n",
  ].join("\r\n");
}

/** Messages for the joined channel are answered: the connection works. */
async function assertWorks(stack: Stack): Promise<void> {
  await using client = connectClient({ stack });
  const joined = await client.join(`works:${crypto.randomUUID()}`, {
    isPublic: true,
    self: true,
    ack: true,
  });
  await joined.channel.send({ type: "broadcast", event: "ping", payload: {} });
  await joined.got(1);
}

Deno.test("Realtime has bounds", async (t) => {
  await using stack = await startStack();

  await t.step("refuses connections without a valid key, or of another version", async () => {
    const apikey = stack.info.publishable_key;
    assertEquals(await refusal(stack, "vsn=2.0.0"), [401, "API key is missing"]);
    assertEquals(
      await refusal(stack, "apikey=nonsense&vsn=2.0.0"),
      [401, "The token provided is not a valid JWT"],
    );
    assertEquals(await refusal(stack, `apikey=${apikey}&vsn=3.0.0`), [403, undefined]);
    assertEquals(
      await refusal(stack, `apikey=${apikey}&vsn=2.0.0`, { without: "Sec-WebSocket-Key" }),
      [400, "The handshake lacks a header"],
    );
    const plain = await fetch(socketUrl(stack).replace(/^ws/, "http"));
    assertEquals([plain.status, (await plain.json()).error], [
      426,
      "This address is for WebSockets",
    ]);
  });

  await t.step("survives messages of any form", async () => {
    using raw = await connectRaw(stack);
    const binary = [[], [3], [3, 1, 1, 1, 1, 1, 1], [3, 255, 255, 255, 255, 255, 0, 1], [9, 9, 9]];
    for (const bytes of binary) raw.socket.send(new Uint8Array(bytes));
    for (const text of ["", "{", "null", "[]", "[1,2,3,4,5]", "{}", '"text"', "[null,null,null]"]) {
      raw.socket.send(text);
    }
    const odd = [null, 5, "text", [], {}, { access_token: 5 }, { config: 7 }, {
      config: { private: "maybe", broadcast: [], presence: 1, postgres_changes: "x" },
    }];
    for (const event of ["access_token", "broadcast", "presence", "anything", "phx_leave"]) {
      raw.send(["1", "1", TOPIC, event, {}]);
    }
    for (const payload of odd) {
      raw.send(["1", "1", TOPIC, "phx_join", payload]);
      raw.send(["1", "1", TOPIC, "access_token", payload]);
      raw.send(["1", "1", TOPIC, "broadcast", payload]);
    }
    raw.send(["1", "1", "elsewhere", "phx_join", {}]);
    raw.send([null, "last", "phoenix", "heartbeat", {}]);
    await eventually("the last is answered", () => raw.received.some(([_, ref]) => ref === "last"));
    const [first] = raw.received;
    assertEquals(first, ["1", "1", TOPIC, "phx_reply", {
      status: "error",
      response: { reason: "unmatched topic" },
    }]);
    await assertWorks(stack);
  });

  await t.step("closes a connection that sends too large a message", async () => {
    using raw = await connectRaw(stack);
    raw.send(JOIN);
    raw.socket.send(new Uint8Array(5_100_000));
    assertEquals(await raw.closed, 1009);
    // Deno itself refuses more than 64 MB, in the middle of the message.
    using larger = await connectRaw(stack);
    larger.socket.send(new Uint8Array(80_000_000));
    await larger.closed;
    await assertWorks(stack);
  });

  await t.step("closes a connection that sends too many messages", async () => {
    using raw = await connectRaw(stack);
    // The bound counts by the second of the clock.
    await eventually("a second begins", () => Date.now() % 1000 < 50);
    raw.send(JOIN);
    // One more than allowed: the client might not read the end of a connection that still sends.
    for (let n = 0; n < 100; n++) raw.send(["1", "2", TOPIC, "heartbeat", {}]);
    assertEquals(await raw.closed, 1008);
    const ends = raw.received.slice(-2);
    assertEquals(ends.map(([, , , event, payload]) => [event, payload.message]), [
      ["system", "Too many messages per second"],
      ["phx_close", undefined],
    ]);
  });

  await t.step("gives one connection 100 channels", async () => {
    using raw = await connectRaw(stack);
    const join = (n: number) => raw.send([`${n}`, `${n}`, `realtime:many:${n}`, "phx_join", {}]);
    for (let n = 0; n < 90; n++) join(n);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    for (let n = 90; n < 101; n++) join(n);
    await eventually("all are answered", () => raw.received.length === 101);
    assertEquals(raw.received.at(-1)[4].response, {
      reason: "ChannelRateLimitReached: Too many channels",
    });
    assertEquals(raw.received.filter((message) => message[4].status === "ok").length, 100);
  });

  await t.step("drops a client that does not read, and keeps serving the others", async () => {
    const { hostname, port } = new URL(stack.info.api_url);
    using lazy = await Deno.connect({ hostname, port: Number(port) });
    const { pathname, search } = new URL(socketUrl(stack));
    await lazy.write(new TextEncoder().encode(handshake(pathname + search)));
    await lazy.read(new Uint8Array(1024));
    await lazy.write(textFrame(JSON.stringify(JOIN)));
    using reader = await connectRaw(stack);
    reader.send(JOIN);
    await eventually("it has joined", () => reader.received.length === 1);
    const text = "x".repeat(1_000_000);
    for (let n = 1; n <= 40; n++) {
      reader.send(["1", `${n}`, TOPIC, "broadcast", { event: "large", payload: { n, text } }]);
      await eventually("it comes back", () => reader.received.length === n + 1);
    }
    // What was on the way when the server gave up, and no more.
    let bytes = 0;
    const buffer = new Uint8Array(65_536);
    const decoder = new TextDecoder();
    for (let end = ""; !end.endsWith("The client reads too slowly");) {
      const count: number | null = await lazy.read(buffer);
      if (count === null) throw new Error("the connection ended without a reason");
      bytes += count;
      end = (end + decoder.decode(buffer.subarray(0, count))).slice(-100);
    }
    assert(bytes < 25_000_000, `${bytes} bytes were sent`);
    await assertWorks(stack);
  });

  await t.step(`serves ${MAX_CONNECTIONS} connections, and more when some have gone`, async () => {
    const open: RawConnection[] = [];
    try {
      while (open.length < MAX_CONNECTIONS + 1) open.push(await connectRaw(stack));
    } catch { /* It is full; other tests may use the stack as well. */ }
    assert(open.length <= MAX_CONNECTIONS && open.length > MAX_CONNECTIONS - 50);
    const query = `apikey=${stack.info.publishable_key}&vsn=2.0.0`;
    assertEquals(await refusal(stack, query), [429, "Too many connected users"]);
    for (const raw of open) raw[Symbol.dispose]();
    await Promise.all(open.map((raw) => raw.closed));
    await assertWorks(stack);
  });
});

/** A WebSocket text message of a client, with a mask of zeros. */
function textFrame(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  return Uint8Array.from([
    0x81,
    0x80 | 126,
    bytes.length >> 8,
    bytes.length & 255,
    0,
    0,
    0,
    0,
    ...bytes,
  ]);
}
