/**
 * kapso-sync answers as its contract says.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import * as contract from "../../../supabase/functions/_shared/contracts/kapso_sync.ts";
import { ContractCheck } from "../../support/contract.ts";
import { headersOf, newBusiness, useWorld } from "../../support/kapso_sync.ts";

const world = useWorld();

Deno.test("every documented request of kapso-sync is answered as documented", async () => {
  const { info, fake, sql } = world.current;
  const check = new ContractCheck(info.api_url, contract);
  const { user, phoneNumber, fakePhoneNumber } = await newBusiness(world.current);
  for (let place = 0; place < 2; place++) {
    const contact = fake.addContact({ phoneNumber: fakePhoneNumber });
    for (let number = 0; number < 3; number++) fake.receiveMessage(contact, `message ${number}`);
  }
  const headers = await headersOf(info, user);
  const service = { apikey: info.secret_key };

  const body = { connection_id: phoneNumber.id };
  const events: contract.SyncEvent[] = await check.send(contract.syncKapso, {
    headers,
    body: { ...body, messages_per_conversation: "all" },
    status: 200,
  });
  const types = new Set(events.map(({ type }) => type));
  for (
    const type of [
      "run",
      "conversations_page",
      "conversations",
      "conversation",
      "conversation_read",
      "conversation_done",
      "progress",
      "done",
    ] as const
  ) assert(types.has(type), `${type} is among ${[...types]}`);
  fake.misbehaveOn("GET", new RegExp(`${phoneNumber.phoneNumberId}/messages$`), {
    kind: "status",
    status: 404,
    body: '{"error":"Conversation not found"}',
  });
  const failed: contract.SyncEvent[] = await check.send(contract.syncKapso, {
    headers: service,
    body: { workspace: user.workspaceId, since: "2026-01-01T00:00:00+07:00" },
    status: 200,
  });
  assertEquals(failed.at(-1)!.type, "partial");
  assert(failed.some(({ type }) => type === "conversation_failed"));
  const paused: contract.SyncEvent[] = await check.send(contract.syncKapso, {
    headers: service,
    body: { ...body, mode: "repair", dry_run: true, delay_ms: 1 },
    status: 200,
  });

  const query = { workspace_id: user.workspaceId, connection_id: phoneNumber.id };
  await check.send(contract.listSyncRuns, { headers, query, status: 200 });
  await check.send(contract.listSyncRuns, { headers: service, status: 200 });
  const params = { id: paused[0]!.run_id };
  await check.send(contract.stopSyncRun, { headers, params, status: 404 });
  const [open] = await sql<{ id: string }[]>`
    select run ->> 'id' as id from public.begin_sync_run(${phoneNumber.id}, 'history', 7, null, false, null)`;
  await check.send(contract.stopSyncRun, { headers, params: { id: open!.id }, status: 200 });
  await check.send(contract.tickKapsoSync, { headers: service, status: 202 });
  await check.send(contract.checkKapsoSettings, { headers: service, status: 200 });
  await check.send(contract.checkKapsoSettings, { headers, status: 403 });
  await check.send(contract.checkKapsoSettings, { status: 401 });

  await check.send(contract.syncKapso, { headers, body: {}, status: 400 });
  await check.send(contract.syncKapso, { body, status: 401 });
  await check.send(contract.syncKapso, {
    headers: { ...headers, "x-kapso-api-key": "mine" },
    body,
    status: 403,
  });
  await check.send(contract.syncKapso, { headers, body: { workspace: "none" }, status: 404 });
  await check.send(contract.listSyncRuns, { headers, query: { connection_id: "1" }, status: 400 });
  await check.send(contract.listSyncRuns, { status: 401 });
  await check.send(contract.stopSyncRun, { headers, params: { id: "none" }, status: 404 });
  await check.send(contract.stopSyncRun, { params, status: 401 });
  await check.send(contract.tickKapsoSync, { headers, status: 403 });
  await check.send(contract.tickKapsoSync, { status: 401 });
  check.assertComplete();
});
