/**
 * daily-summary answers as its contract says.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import * as contract from "../../../supabase/functions/_shared/contracts/daily_summary.ts";
import { ContractCheck } from "../../support/contract.ts";
import { useDatabase } from "../../support/database.ts";
import { headersOf } from "../../support/kapso_sync.ts";
import { ingestOne, message } from "../../support/messages.ts";
import { unique, uniqueNumber } from "../../support/people.ts";
import { createBridge, signUp } from "../../support/users.ts";

const database = useDatabase();
const DATE = "2026-02-03";

Deno.test("every documented request of daily-summary is answered as documented", async () => {
  const { info, sql } = database;
  const check = new ContractCheck(info.api_url, contract);
  const owner = await signUp(info);
  const headers = await headersOf(info, owner);
  const service = { apikey: info.secret_key };
  const params = { workspace: owner.workspaceId };
  const phone = uniqueNumber();
  await owner.client.from("people")
    .insert({ workspace_id: owner.workspaceId, name: "Sari", phone }).throwOnError();
  const { id } = await createBridge(owner);
  await ingestOne(sql, { id }, {
    external_conversation_id: unique("x_"),
    participant_identifier: phone,
    messages: [message({ sent_at: `${DATE}T09:00:00Z`, content: "Any bread left?" })],
  });

  const query = { date: DATE };
  const before = await check.send(contract.getSummaryRun, { headers, params, query, status: 200 });
  assertEquals(before, { run: null });
  const day = { workspace_id: owner.workspaceId, date: DATE };
  await check.send(contract.summarizeDay, { headers, body: day, status: 200 });
  await check.send(contract.summarizeDay, {
    headers,
    body: { ...day, continue: true },
    status: 200,
  });
  await check.send(contract.getSummaryRun, { headers, params, query, status: 200 });
  await check.send(contract.summarizeDay, {
    headers: service,
    body: { workspace_id: owner.workspaceId },
    status: 200,
  });
  await check.send(contract.tickDailySummary, { headers: service, status: 202 });

  const [note] = await sql`
    select metadata from public.person_notes
    where workspace_id = ${owner.workspaceId} and kind = 'daily_summary'`;
  assertEquals(contract.summaryMetadata.parse(note!.metadata), note!.metadata);
  const { data: settings } = await owner.client.from("workspace_summary_settings")
    .insert({ workspace_id: owner.workspaceId })
    .select("is_enabled, hour, allow_external_ai, language").single().throwOnError();
  assertEquals(settings, contract.summarySettings.parse({}), "the defaults of the database");

  const stranger = await headersOf(info, await signUp(info));
  const tooOld = { ...day, date: "2000-01-01" };
  await check.send(contract.summarizeDay, { headers, body: { date: 1 }, status: 400 });
  await check.send(contract.summarizeDay, { headers, body: {}, status: 400 });
  await check.send(contract.summarizeDay, { headers, body: tooOld, status: 400 });
  await check.send(contract.summarizeDay, { body: day, status: 401 });
  await check.send(contract.summarizeDay, { headers: stranger, body: day, status: 404 });
  await check.send(contract.getSummaryRun, {
    headers,
    params,
    query: { date: "today" },
    status: 400,
  });
  await check.send(contract.getSummaryRun, { headers: service, params, status: 401 });
  await check.send(contract.getSummaryRun, { headers, params: { workspace: "mine" }, status: 404 });
  await check.send(contract.tickDailySummary, { headers, status: 403 });
  await check.send(contract.tickDailySummary, { status: 401 });
  check.assertComplete();
});
