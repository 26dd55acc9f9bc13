/**
 * messaging-people answers as its contract says.
 *
 * @module
 */
import * as contract from "../../../supabase/functions/_shared/contracts/messaging_people.ts";
import { ContractCheck } from "../../support/contract.ts";
import { useDatabase } from "../../support/database.ts";
import { createBridge, signUp } from "../../support/users.ts";

const database = useDatabase();

Deno.test("every documented request of messaging-people is answered as documented", async () => {
  const check = new ContractCheck(database.info.api_url, contract);
  const owner = await signUp(database.info);
  const bridge = await createBridge(owner, "whatsapp");
  await owner.client.from("people")
    .insert({ workspace_id: owner.workspaceId, name: "Sari", phone: "+62 812 9876 5432" })
    .throwOnError();
  const headers = { "x-api-key": bridge.api_key, "x-connection-id": bridge.connection_id };
  await check.send(contract.listPeople, { headers, query: { search: "Sari" }, status: 200 });
  await check.send(contract.listPeople, { headers, query: { limit: "0" }, status: 400 });
  await check.send(contract.listPeople, { status: 401 });
  check.assertComplete();
});
