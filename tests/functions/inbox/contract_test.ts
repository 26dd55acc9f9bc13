/**
 * inbox answers as its contract says.
 *
 * @module
 */
import * as contract from "../../../supabase/functions/_shared/contracts/inbox/index.ts";
import { ContractCheck } from "../../support/contract.ts";
import { type Inbox, openThread, type Person, startInbox, textBody } from "../../support/inbox.ts";
import { unique } from "../../support/people.ts";
import { rows } from "../../support/users.ts";

let inbox: Inbox;
let check: ContractCheck;
Deno.test.beforeAll(async () => {
  inbox = await startInbox();
  check = new ContractCheck(inbox.info.api_url, contract);
});
Deno.test.afterAll(async () => {
  await inbox[Symbol.asyncDispose]();
  check.assertComplete();
});

/** Headers of a request that the app makes for a member. */
function as({ token }: Person): Record<string, string> {
  return { apikey: inbox.info.publishable_key, authorization: `Bearer ${token}` };
}

const nothing = crypto.randomUUID();

Deno.test("messages, uploads and templates are answered as documented", async () => {
  const { fake, team } = inbox;
  const conversation = await openThread(inbox);
  const headers = as(team.agent);
  const body = textBody(conversation);
  await check.send(contract.sendMessage, { headers, body, status: 201 });
  const { message } = await check.send(contract.sendMessage, { headers, body, status: 200 });
  const params = { id: message.id };
  await check.send(contract.sendMessage, {
    headers,
    body: { ...body, text: "else" },
    status: 409,
  });
  await check.send(contract.sendMessage, { headers, body: { ...body, text: "" }, status: 400 });
  await check.send(contract.sendMessage, { headers, status: 415 });
  await check.send(contract.sendMessage, { headers: as(team.viewer), body, status: 403 });
  await check.send(contract.sendMessage, {
    headers,
    body: textBody({ ...conversation, id: nothing }),
    status: 404,
  });
  await check.send(contract.sendMessage, { body, status: 401 });

  // Kapso is away: the message may have been sent.
  fake.misbehaveOn("POST", /\/messages$/, { kind: "cut", afterBytes: 0 });
  fake.echoesCallbackData = false;
  const held = [...fake.deliveries.webhooks.values()][0]!;
  const { events } = held;
  held.events = [];
  const { message: lost } = await check.send(contract.sendMessage, {
    headers,
    body: textBody(conversation, "lost"),
    status: 201,
  });
  const again = { confirm_possible_double: true };
  await check.send(contract.retryMessage, {
    headers,
    params: { id: lost.id },
    body: {},
    status: 409,
  });
  await check.send(contract.retryMessage, {
    headers,
    params: { id: lost.id },
    body: again,
    status: 200,
  });
  held.events = events;
  fake.echoesCallbackData = true;
  await check.send(contract.retryMessage, { headers, params, body: {}, status: 409 });
  await check.send(contract.retryMessage, {
    headers,
    params: { id: "no uuid" },
    body: {},
    status: 400,
  });
  await check.send(contract.discardMessage, { headers, params, status: 409 });
  // The key of the connection is rejected, so the message fails.
  fake.misbehaveOn("POST", /\/messages$/, { kind: "status", status: 401 });
  const { message: failed } = await check.send(contract.sendMessage, {
    headers,
    body: textBody(conversation, "failed"),
    status: 201,
  });
  await check.send(contract.discardMessage, { headers, params: { id: failed.id }, status: 200 });

  const form = (type: string, file = new Uint8Array(3)) => {
    const data = new FormData();
    data.set("conversation_id", conversation.id);
    data.set("file", new File([file], "a.pdf", { type }));
    return data;
  };
  await check.send(contract.uploadFile, { headers, body: form("application/pdf"), status: 201 });
  await check.send(contract.uploadFile, { headers, body: form("text/html"), status: 415 });
  await check.send(contract.uploadFile, {
    headers,
    body: form("application/pdf", new Uint8Array()),
    status: 400,
  });
  await check.send(contract.uploadFile, {
    headers,
    body: form("image/webp", new Uint8Array(600 * 1024)),
    status: 413,
  });

  fake.addTemplate({ name: "hello", components: [{ type: "BODY", text: "Hello {{1}}" }] });
  const query = { conversation_id: conversation.id };
  await check.send(contract.listTemplates, { headers, query, status: 200 });
  await check.send(contract.listTemplates, { headers, status: 400 });
  await check.send(contract.listTemplates, {
    headers,
    query: { conversation_id: nothing },
    status: 404,
  });
  fake.state.templates.length = 0;
});

Deno.test("links to files are answered as documented", async () => {
  const { fake, team, info } = inbox;
  const conversation = await openThread(inbox);
  const bytes = new TextEncoder().encode("a picture");
  const sent = fake.receiveMessage(conversation.contact, { type: "image", bytes });
  await fake.settled();
  const headers = as(team.viewer);
  const body = { conversation_id: conversation.id, message_id: sent.id };
  const { url } = await check.send(contract.linkMedia, { headers, body, status: 200 });
  const token = String(url).split("/").at(-1)!;
  await check.send(contract.openMedia, { params: { token }, status: 200 });
  await check.send(contract.openMedia, { params: { token: "x" }, status: 403 });
  await check.send(contract.linkMedia, {
    headers,
    body: { ...body, message_id: "none" },
    status: 404,
  });
  await check.send(contract.linkMedia, { headers, body: {}, status: 400 });
  // The schedule.
  await check.send(contract.runScheduledSending, {
    headers: { apikey: info.secret_key },
    status: 202,
  });
  await check.send(contract.runScheduledSending, { headers, status: 403 });
});

Deno.test("actions on conversations are answered as documented", async () => {
  const { team } = inbox;
  const conversation = await openThread(inbox);
  const headers = as(team.agent);
  const params = { id: conversation.id };
  for (
    const route of [
      contract.closeConversation,
      contract.reopenConversation,
      contract.markConversationRead,
      contract.markConversationUnread,
    ]
  ) {
    await check.send(route, { headers, params, status: 200 });
    await check.send(route, { headers: as(team.viewer), params, status: 403 });
    await check.send(route, { headers, params: { id: nothing }, status: 404 });
    await check.send(route, { params, status: 401 });
  }
  await check.send(contract.markConversationRead, {
    headers,
    params,
    body: { seen_arrivals: 1 },
    status: 200,
  });
  await check.send(contract.markConversationRead, {
    headers,
    params,
    body: { seen_arrivals: "all" },
    status: 400,
  });
  const assign = (user_id: unknown, status: number) =>
    check.send(contract.assignConversation, { headers, params, body: { user_id }, status });
  await assign(team.agent.id, 200);
  await assign(null, 200);
  await assign(team.viewer.id, 422);
  await assign("me", 400);
});

Deno.test("changes of people are answered as documented", async () => {
  const { team } = inbox;
  const [one, other] = [await openThread(inbox), await openThread(inbox)];
  const personOf = async (id: string) =>
    (await rows(team.agent.client.from("conversation_list").select("person_id").eq("id", id)))[0]!
      .person_id!;
  const headers = as(team.agent);
  const params = { id: await personOf(one.id) };
  await check.send(contract.updatePerson, {
    headers,
    params,
    body: { name: "Rita Souza", email: "" },
    status: 200,
  });
  await check.send(contract.updatePerson, {
    headers,
    params,
    body: { phone: other.contact.phone },
    status: 409,
  });
  await check.send(contract.updatePerson, { headers, params, body: {}, status: 400 });
  await check.send(contract.updatePerson, {
    headers: as(team.viewer),
    params,
    body: { name: "X" },
    status: 403,
  });
  const { merge } = await check.send(contract.mergePeople, {
    headers,
    body: { keep_id: params.id, merge_id: await personOf(other.id) },
    status: 200,
  });
  await check.send(contract.mergePeople, {
    headers,
    body: { keep_id: params.id, merge_id: params.id },
    status: 422,
  });
  await check.send(contract.undoMerge, { headers, params: { id: merge.id }, status: 200 });
  await check.send(contract.undoMerge, { headers, params: { id: merge.id }, status: 409 });
  await check.send(contract.undoMerge, { headers, params: { id: nothing }, status: 404 });
  await check.send(contract.linkConversation, {
    headers,
    params,
    body: { conversation_id: other.id },
    status: 200,
  });
  await check.send(contract.linkConversation, {
    headers,
    params: { id: nothing },
    body: { conversation_id: other.id },
    status: 404,
  });
});

Deno.test("changes of connections are answered as documented", async () => {
  const { fake, team } = inbox;
  const headers = as(team.owner);
  const { apiKey } = fake;
  const phoneNumber = fake.addPhoneNumber("200000000000654", "+551130000002");
  const body = {
    workspace_id: team.owner.workspaceId,
    platform: "whatsapp",
    connection_id: unique("wa_"),
    phone_number_id: phoneNumber.phoneNumberId,
  };
  const { connection } = await check.send(contract.createConnection, {
    headers,
    body,
    status: 201,
  });
  await check.send(contract.createConnection, { headers, body, status: 409 });
  await check.send(contract.createConnection, {
    headers,
    body: { ...body, platform: "fax" },
    status: 400,
  });
  await check.send(contract.createConnection, { headers: as(team.agent), body, status: 403 });
  await check.send(contract.createConnection, { headers: as(team.stranger), body, status: 404 });
  const query = { workspace_id: body.workspace_id };
  await check.send(contract.listConnections, { headers, query, status: 200 });
  await check.send(contract.listConnections, { headers, status: 400 });
  await check.send(contract.listConnections, { headers: as(team.stranger), query, status: 404 });
  const params = { id: connection.id };
  const update = (change: unknown, status: number) =>
    check.send(contract.updateConnection, { headers, params, body: change, status });
  await update({ name: "Second number" }, 200);
  await update({ phone_number_id: inbox.phoneNumber.phoneNumberId }, 200);
  await update({ phone_number_id: phoneNumber.phoneNumberId }, 200);
  await update({}, 400);
  await check.send(contract.rotateConnectionSecret, { headers, params, body: {}, status: 200 });
  await check.send(contract.rotateConnectionSecret, {
    headers,
    params,
    body: { grace_hours: -1 },
    status: 400,
  });
  const setKey = (api_key: string | null, status: number) =>
    check.send(contract.setKapsoCredentials, { headers, params, body: { api_key }, status });
  await setKey("short", 400);
  await setKey("a-wrong-kapso-key", 422);
  await setKey(fake.apiKey, 200);
  fake.apiKey = "another-key-of-kapso";
  await check.send(contract.registerWebhook, { headers, params, status: 422 });
  await check.send(contract.checkWebhook, { headers, params, status: 200 });
  fake.apiKey = apiKey;
  await check.send(contract.registerWebhook, { headers, params, status: 200 });
  await check.send(contract.checkWebhook, { headers, params, status: 200 });
  await check.send(contract.checkWebhook, { headers, params: { id: nothing }, status: 404 });
  await setKey(null, 200);
});
