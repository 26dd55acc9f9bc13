/**
 * kapso-webhook answers as its contract says.
 *
 * @module
 */
import * as contract from "../../../supabase/functions/_shared/contracts/kapso_webhook.ts";
import { ContractCheck } from "../../support/contract.ts";
import { useDatabase } from "../../support/database.ts";
import { createPhoneNumber, delivery, receivedText } from "../../support/kapso_webhook.ts";
import { signUp } from "../../support/users.ts";

const database = useDatabase();

Deno.test("every documented request of kapso-webhook is answered as documented", async () => {
  const check = new ContractCheck(database.info.api_url, contract);
  const { phoneNumberId } = await createPhoneNumber(await signUp(database.info));
  const secret = database.info.demo.kapso_webhook_secret;
  for (const body of [receivedText(phoneNumberId), { phone_number_id: phoneNumberId }]) {
    const { headers } = delivery(JSON.stringify(body), { secret });
    await check.send(contract.receiveKapsoEvent, { headers: headers!, body, status: 200 });
    await check.send(contract.receiveKapsoEvent, { body, status: 401 });
  }
  check.assertComplete();
});
