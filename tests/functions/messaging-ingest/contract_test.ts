/**
 * messaging-ingest answers as its contract says.
 *
 * @module
 */
import * as contract from "../../../supabase/functions/_shared/contracts/messaging_ingest.ts";
import { ContractCheck } from "../../support/contract.ts";
import { useDatabase } from "../../support/database.ts";
import { conversation } from "../../support/messages.ts";
import { createBridge, signUp } from "../../support/users.ts";

const database = useDatabase();

Deno.test("every documented request of messaging-ingest is answered as documented", async () => {
  const check = new ContractCheck(database.info.api_url, contract);
  const { api_key, connection_id } = await createBridge(await signUp(database.info), "telegram");
  const headers = { "x-api-key": api_key };
  const body = {
    platform: "telegram",
    connection_id,
    conversations: [conversation(), { ...conversation(), messages: "none" }],
  };
  const send = (request: Parameters<ContractCheck["send"]>[1]) =>
    check.send(contract.ingestConversations, request);
  await send({ headers, body, status: 200 });
  await send({ headers, body, status: 200 });
  await send({ headers, body: { ...body, platform: "fax" }, status: 400 });
  await send({ headers: { "x-api-key": "msg_wrong" }, body, status: 401 });
  await send({ headers: { ...headers, "content-type": "text/csv" }, status: 415 });
  check.assertComplete();
});
