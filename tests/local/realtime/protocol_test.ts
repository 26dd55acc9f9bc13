/**
 * Realtime of the local stack as realtime-js sees it: who may join and send, what arrives, and when a channel ends.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { eventually } from "../../support/eventually.ts";
import { connectClient, connectRaw, type Rooms, startRooms } from "./support.ts";

const newTopic = () => `room:${crypto.randomUUID()}`;

/** A member of a new room. */
async function member(rooms: Rooms, options: { maySend?: boolean; topic?: string } = {}) {
  const userId = crypto.randomUUID();
  const topic = options.topic ?? newTopic();
  await rooms.admit(userId, topic, options);
  return { userId, topic, client: connectClient(rooms, await rooms.token(userId)) };
}

Deno.test("Realtime", async (t) => {
  await using rooms = await startRooms();
  const { sql, stack } = rooms;

  await t.step(
    "delivers what the database sends, in order, to listeners of the topic",
    async () => {
      const { topic, client } = await member(rooms);
      await using _client = client;
      const joined = await client.join(topic);
      assertEquals(joined.statuses, ["SUBSCRIBED"]);
      await rooms.send(newTopic(), "elsewhere", {});
      await rooms.send(topic, "public", {}, false);
      await sql.begin(async (transaction) => {
        await transaction`select realtime.send('{}', 'undone', ${topic})`;
        await transaction`rollback and chain`;
      });
      await sql`
      select realtime.send(jsonb_build_object('number', number, 'text', 'Grüße 🎈'), 'counted', ${topic})
      from generate_series(1, 450) as number`;
      const received = await joined.got(450);
      assertEquals(
        received.map(({ payload }) => payload.number),
        Array.from({ length: 450 }, (_, n) => n + 1),
      );
      const { event, payload, meta } = received[0]!;
      assertEquals([event, payload.text], ["counted", "Grüße 🎈"]);
      assertEquals(payload.id, meta!.id);
    },
  );

  await t.step("delivers payloads of a megabyte, bytes, and the id a sender chose", async () => {
    const { topic, client } = await member(rooms);
    await using _client = client;
    const joined = await client.join(topic);
    const text = "🎈".repeat(250_000);
    await rooms.send(topic, "large", { id: "own", text });
    await sql`select realtime.send_binary(${new Uint8Array([0, 1, 255])}, 'bytes', ${topic})`;
    await rooms.send(topic, "too large", { text: "x".repeat(3_100_000) });
    await rooms.send(topic, "last", {});
    const [large, bytes, last] = await joined.got(3);
    assertEquals([large!.payload.id, large!.payload.text === text], ["own", true]);
    assertEquals(new Uint8Array(bytes!.payload), new Uint8Array([0, 1, 255]));
    assertEquals(last!.event, "last");
  });

  await t.step("refuses users whom the policies do not let listen", async () => {
    const { topic } = await member(rooms);
    await using stranger = connectClient(rooms, await rooms.token(crypto.randomUUID()));
    const refusal = "CHANNEL_ERROR Unauthorized: " +
      `You do not have permissions to read from this Channel topic: ${topic}`;
    assertEquals((await stranger.join(topic)).statuses, [refusal]);
    await using visitor = connectClient(rooms);
    assertEquals((await visitor.join(topic)).statuses, [refusal]);
    assertEquals((await sql`select from realtime.messages where topic = ${topic}`).length, 0);
  });

  await t.step("refuses a join whose policy fails, and keeps serving", async () => {
    await using client = connectClient(rooms, await rooms.token(crypto.randomUUID()));
    const { statuses } = await client.join("room:broken");
    assertMatch(statuses[0]!, /^CHANNEL_ERROR /);
    assertEquals((await client.join("open", { isPublic: true })).statuses, ["SUBSCRIBED"]);
  });

  await t.step("refuses tokens that are expired, foreign, or without a role", async () => {
    const { topic, userId } = await member(rooms);
    for (
      const [token, reason] of [
        [
          await rooms.token(userId, { seconds: -5 }),
          /InvalidJWTToken: Token has expired \d+ seconds/,
        ],
        [
          (await rooms.token(userId)).slice(0, -4) + "AAAA",
          /JwtSignatureError: Failed to validate/,
        ],
        [await rooms.token(userId, { claims: { role: undefined } }), /Fields `role` and `exp`/],
        ["nonsense", /MalformedJWT: The token provided is not a valid JWT/],
      ] as const
    ) {
      await using client = connectClient(rooms, token);
      assertMatch((await client.join(topic)).statuses[0]!, reason);
    }
  });

  await t.step("passes broadcasts of clients on, where the policies let them send", async () => {
    const { topic, client: listener } = await member(rooms);
    const { client: writer } = await member(rooms, { topic, maySend: true });
    await using _listener = listener;
    await using _writer = writer;
    const heard = await listener.join(topic);
    const own = await writer.join(topic, { ack: true });
    const send = (channel: typeof own, payload: object) =>
      channel.channel.send({ type: "broadcast", event: "said", payload });
    assertEquals(await send(heard, { by: "listener" }), "ok");
    assertEquals(await send(own, { by: "writer" }), "ok");
    assertEquals((await heard.got(1))[0]!.payload, { by: "writer" });
    assertEquals(await send(own, { text: "x".repeat(3_100_000) }), "error");
    assertEquals(own.received, []);
    assertEquals(heard.received.length, 1);

    await using echo = (await member(rooms, { topic, maySend: true })).client;
    const echoing = await echo.join(topic, { self: true });
    await echoing.channel.send({
      type: "broadcast",
      event: "bytes",
      payload: new Uint8Array([1, 2]).buffer,
    });
    assertEquals(new Uint8Array((await echoing.got(1))[0]!.payload), new Uint8Array([1, 2]));
  });

  await t.step("passes broadcasts over HTTP on", async () => {
    const { topic, client: listener } = await member(rooms);
    const { client: writer } = await member(rooms, { topic, maySend: true });
    await using _listener = listener;
    await using _writer = writer;
    const heard = await listener.join(topic);
    await writer.supabase.realtime.setAuth();
    const channel = writer.supabase.channel(topic, { config: { private: true } });
    assertEquals(await channel.httpSend("one", { n: 1 }), { success: true });
    assertEquals(await channel.httpSend("two", new Uint8Array([7])), { success: true });
    // Not joined, so realtime-js sends it over HTTP.
    assertEquals(
      await channel.send({ type: "broadcast", event: "three", payload: { n: 3 } }),
      "ok",
    );
    const received = await heard.got(3);
    assertEquals(received.map(({ event }) => event), ["one", "two", "three"]);
    assertEquals(received[0]!.payload, { n: 1 });
    assertEquals(received[2]!.payload, { n: 3 });

    await listener.supabase.realtime.setAuth();
    await listener.supabase.removeChannel(heard.channel);
    const silent = listener.supabase.channel(topic, { config: { private: true } });
    assertEquals(await silent.httpSend("four", {}).catch((error) => error.message), "Unauthorized");

    const url = `${stack.info.api_url}/realtime/v1/api/broadcast`;
    const post = async (apikey: string, body: unknown) => {
      const response = await fetch(url, {
        method: "POST",
        headers: { apikey, "content-type": "application/json" },
        body: typeof body === "string" ? body : JSON.stringify(body),
      });
      await response.body?.cancel();
      return response.status;
    };
    const again = await listener.join(topic);
    const message = (event: string) => ({ topic, event, payload: { event }, private: true });
    assertEquals(await post("nonsense", { messages: [] }), 401);
    assertEquals(await post(stack.info.secret_key, "{"), 400);
    assertEquals(await post(stack.info.secret_key, { messages: [{ topic }] }), 422);
    assertEquals(await post(stack.info.secret_key, "x".repeat(6_000_000)), 413);
    assertEquals(await post(stack.info.publishable_key, { messages: [message("denied")] }), 202);
    assertEquals(await post(stack.info.secret_key, { messages: [message("five")] }), 202);
    assertEquals((await again.got(1)).map(({ event }) => event), ["five"]);
  });

  await t.step("keeps public and private channels of one topic apart", async () => {
    const { topic, client } = await member(rooms);
    await using _client = client;
    await using visitor = connectClient(rooms);
    const inside = await client.join(topic);
    const outside = await visitor.join(topic, { isPublic: true });
    await rooms.send(topic, "secret", {});
    await rooms.send(topic, "open", {}, false);
    await outside.channel.send({ type: "broadcast", event: "shouted", payload: {} });
    await rooms.send(topic, "secret", {});
    assertEquals((await inside.got(2)).map(({ event }) => event), ["secret", "secret"]);
    assertEquals((await outside.got(1)).map(({ event }) => event), ["open"]);
  });

  await t.step(
    "ends a channel when its token expires, unless the client sends a newer one",
    async () => {
      const { topic, userId } = await member(rooms);
      await using careless = connectClient(rooms, await rooms.token(userId, { seconds: 2 }));
      await using careful = connectClient(rooms);
      await careful.supabase.realtime.setAuth(await rooms.token(userId, { seconds: 2 }));
      const [ending, staying] = [await careless.join(topic), await careful.join(topic)];
      await careful.supabase.realtime.setAuth(await rooms.token(userId));
      await ending.became("CLOSED");
      assertMatch(ending.system[0]!.message, /^Token has expired \d+ seconds ago$/);
      assertEquals(ending.system[0]!.status, "error");
      await rooms.send(topic, "later", {});
      await staying.got(1);
      assertEquals([ending.received, staying.statuses], [[], ["SUBSCRIBED"]]);
    },
  );

  await t.step("asks the policies again for a newer token, and with the next join", async () => {
    const { topic, userId } = await member(rooms);
    await using client = connectClient(rooms);
    await client.supabase.realtime.setAuth(await rooms.token(userId));
    const joined = await client.join(topic);
    await sql`delete from public.room_members where user_id = ${userId}`;
    // As on hosted Supabase, the answer of the policies holds until then.
    await rooms.send(topic, "still", {});
    await joined.got(1);
    await client.supabase.realtime.setAuth(await rooms.token(userId, { seconds: 3000 }));
    await joined.became("CLOSED");
    assertMatch(
      joined.system[0]!.message,
      /^You do not have permissions to read from this Channel/,
    );
    await rooms.send(topic, "no longer", {});
    assertMatch((await client.join(topic)).statuses[0]!, /^CHANNEL_ERROR Unauthorized/);
    assertEquals(joined.received.length, 1);
  });

  await t.step("ends a channel for a token that is refused", async () => {
    const { topic, userId } = await member(rooms);
    await using client = connectClient(rooms);
    await client.supabase.realtime.setAuth(await rooms.token(userId));
    const joined = await client.join(topic);
    await client.supabase.realtime.setAuth("nonsense");
    await joined.became("CLOSED");
    assertEquals(joined.system[0]!.message, "The token provided is not a valid JWT");
  });

  await t.step("lets a client leave and join again", async () => {
    const { topic, client } = await member(rooms);
    await using _client = client;
    const first = await client.join(topic);
    assertEquals(await client.supabase.removeChannel(first.channel), "ok");
    const second = await client.join(topic);
    await rooms.send(topic, "once", {});
    await second.got(1);
    assertEquals([first.received, second.received.length], [[], 1]);
  });

  await t.step("answers heartbeats", async () => {
    await using client = connectClient(rooms);
    const beats: string[] = [];
    client.supabase.realtime.onHeartbeat((status) => beats.push(status));
    await client.join("open", { isPublic: true });
    await client.supabase.realtime.sendHeartbeat();
    await eventually("the heartbeat is answered", () => beats.includes("ok"));
  });

  await t.step("says what it does not have", async () => {
    await using client = connectClient(rooms);
    const statuses: string[] = [];
    client.supabase.channel("changes")
      .on("postgres_changes", { event: "*", schema: "public" }, () => {})
      .on("presence", { event: "sync" }, () => {})
      .subscribe((status, error) => statuses.push(`${status} ${error?.message}`));
    await eventually("the join is refused", () => statuses.length > 0);
    assertEquals(
      statuses[0],
      "CHANNEL_ERROR The local stack has no Postgres Changes and no Presence",
    );
  });

  await t.step("speaks version 1.0.0", async () => {
    using raw = await connectRaw(stack, "1.0.0");
    const topic = "realtime:old";
    raw.send({ topic, event: "phx_join", payload: {}, ref: "1" });
    await eventually("the join is answered", () => raw.received.length > 0);
    assertEquals(raw.received, [{
      topic,
      event: "phx_reply",
      payload: { status: "ok", response: { postgres_changes: [] } },
      ref: "1",
      join_ref: null,
    }]);
    await rooms.send("old", "said", { id: "own" }, false);
    await eventually("the broadcast comes", () => raw.received.length > 1);
    const { event, payload } = raw.received[1];
    assertEquals([event, payload.type, payload.event, payload.payload], [
      "broadcast",
      "broadcast",
      "said",
      { id: "own" },
    ]);
    assertEquals(typeof payload.meta.id, "string");
    raw.send({ topic, event: "phx_leave", payload: {}, ref: "2" });
    await eventually("the channel is closed", () => raw.received.length > 3);
    assertEquals(raw.received.slice(2).map((message) => message.event), ["phx_reply", "phx_close"]);
  });

  await t.step(
    "lets clients connect again when the database has dropped its connections",
    async () => {
      const { topic, client } = await member(rooms);
      await using _client = client;
      const joined = await client.join(topic);
      await sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'realtime' and pid <> pg_backend_pid()`;
      await joined.became("CHANNEL_ERROR");
      await eventually(
        "the channel is back",
        () => joined.statuses.filter((status) => status === "SUBSCRIBED").length === 2,
      );
      await rooms.send(topic, "after", {});
      await joined.got(1);
    },
  );

  await t.step("comes back after a crash of the database", async () => {
    const { topic, client } = await member(rooms);
    await using _client = client;
    const joined = await client.join(topic);
    Deno.kill(await rooms.project.postgresPid(), "SIGKILL");
    await joined.became("CHANNEL_ERROR");
    await eventually(
      "the channel is back",
      () => joined.statuses.filter((status) => status === "SUBSCRIBED").length === 2,
    );
    await eventually("the database answers", async () => {
      await rooms.send(topic, "after", {}).catch(() => {});
      return joined.received.length > 0;
    });
  });
});
