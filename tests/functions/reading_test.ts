/**
 * From a bridge's request to a person's screen: members read what was stored through supabase-js, and
 * others do not.
 *
 * @module
 */

import { assert, assertEquals, assertObjectMatch } from "@std/assert";

import { useDatabase } from "../support/database.ts";
import { at, conversation, message, messages } from "../support/messages.ts";
import { unique, uniqueNumber } from "../support/people.ts";
import { DEMO_CONNECTIONS } from "../../local/demo.ts";
import { createBridge, postAll, rows, signUp, userClient } from "../support/users.ts";

const database = useDatabase();

Deno.test("the demo user reads what a bridge has sent, and a user of another workspace sees nothing", async (t) => {
  const { info } = database;
  const name = unique("Sari ");
  const phone = uniqueNumber();
  const given = conversation({
    participant_identifier: phone,
    participant_name: name,
    messages: [...messages(120), message({ content: `Bye ${name}`, sent_at: at(1000) })],
  });
  const [stored] = await postAll(info, DEMO_CONNECTIONS.whatsapp, [given]);
  const id = stored!.id!;

  const member = userClient(info);
  const { error } = await member.auth.signInWithPassword({
    email: info.demo.email,
    password: info.demo.password,
  });
  assertEquals(error, null);
  const workspaces = member.from("workspaces").select("id, slug").eq("slug", info.demo.workspace);
  const [workspace] = await rows(workspaces);
  const stranger = await signUp(info);
  const anybody = userClient(info);

  await t.step("conversation_list", async () => {
    const list = (client: typeof member) => client.from("conversation_list").select().eq("id", id);
    const [row] = await rows(list(member));
    const expected = {
      participant_name: name,
      participant_identifier: phone,
      message_count: 121,
      unread_count: 121,
      last_message_preview: `Bye ${name}`,
      status: "open",
    };
    assertObjectMatch(row!, expected);
    assertEquals(await rows(list(stranger.client)), []);
    assertEquals(await rows(stranger.client.from("conversation_list").select()), []);
    assertEquals((await list(anybody)).data, null);
  });

  await t.step("conversation_messages, page by page", async () => {
    const page = (client: typeof member, before?: string) =>
      client.rpc("conversation_messages", {
        conversation: id,
        max_messages: 50,
        ...(before === undefined ? {} : { before }),
      });
    const read: string[] = [];
    let before: string | undefined;
    for (const size of [50, 50, 21, 0]) {
      const found = await rows(page(member, before));
      assertEquals(found.length, size);
      read.push(...found.map((each) => each.id));
      before = found.at(-1)?.cursor;
    }
    assertEquals(read, given.messages.map((each) => each.id).reverse());
    assertEquals(await rows(page(stranger.client)), []);
    assertEquals((await page(anybody)).data, null);
  });

  await t.step("search_conversations", async () => {
    const search = (client: typeof member, search: string) =>
      client.rpc("search_conversations", {
        workspace_id: workspace!.id,
        search,
        max_conversations: 5,
      });
    const national = `0${phone.slice(3, 6)} ${phone.slice(6, 10)}-${phone.slice(10)}`;
    for (const words of [name, name.toUpperCase(), phone.slice(1), phone, national.slice(1)]) {
      assertEquals((await rows(search(member, words))).map((row) => row.id), [id], words);
    }
    assertEquals(await rows(search(stranger.client, name)), []);
    assertEquals((await search(anybody, name)).data, null);
  });

  await t.step("conversation_export", async () => {
    const thread = (client: typeof member) =>
      client.from("conversation_export").select("messages").eq("id", id);
    const [row] = await rows(thread(member));
    assertEquals((row!.messages as unknown[]).length, 121);
    assertEquals(await rows(thread(stranger.client)), []);
  });

  await t.step("people, identities and connections of others", async () => {
    for (const table of ["people", "person_identities", "connections", "conversations"] as const) {
      const { data, error } = await stranger.client.from(table).select("id");
      assertEquals([data, error], [[], null]);
      assertEquals((await anybody.from(table).select("id")).data, null);
    }
  });

  await t.step("only the service may call ingest_conversations", async () => {
    for (const client of [member, stranger.client, anybody]) {
      const { error } = await client.rpc("ingest_conversations", {
        connection_id: crypto.randomUUID(),
        conversations: [],
      });
      assert(error !== null);
    }
  });
});

Deno.test("a person who is added adopts the conversation that waited", async () => {
  const { info } = database;
  const owner = await signUp(info);
  const bridge = await createBridge(owner);
  const phone = uniqueNumber();
  await postAll(info, bridge, [
    conversation({ participant_identifier: phone, messages: messages(1) }),
  ]);
  const linked = async () =>
    (await rows(owner.client.from("conversation_list").select("person_name")))[0]!.person_name;
  assertEquals(await linked(), null);
  const { error } = await owner.client.from("people").insert({
    workspace_id: owner.workspaceId,
    name: "Budi",
    phone: phone.replace("+62", "0"),
  });
  assertEquals(error, null);
  assertEquals(await linked(), "Budi");
});
