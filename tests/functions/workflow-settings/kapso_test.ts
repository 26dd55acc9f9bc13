/**
 * The Kapso API key that a workspace uses.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import { AppError } from "../../../supabase/functions/_shared/http/errors.ts";
import type { KapsoClient } from "../../../supabase/functions/_shared/kapso/api/client.ts";
import { KapsoError } from "../../../supabase/functions/_shared/kapso/api/client.ts";
import {
  createConnect,
  type KapsoConnection,
} from "../../../supabase/functions/workflow-settings/kapso.ts";

const OWN: KapsoConnection = { id: "own", phoneNumberId: "1", hasKey: true };
const OTHER: KapsoConnection = { id: "other", phoneNumberId: null, hasKey: true };
const SHARED: KapsoConnection = { id: "shared", phoneNumberId: "2", hasKey: false };
const UNKNOWN: KapsoConnection = { id: "unknown", phoneNumberId: "3", hasKey: false };

/** Connects, with an installation's key whose project has the phone numbers 2 and 4. */
async function connect(
  connections: KapsoConnection[],
  options: { connectionId?: string; hasSharedKey?: boolean; status?: number; owners?: string[] } =
    {},
): Promise<string> {
  const asked: string[] = [];
  const result = await createConnect({
    connectionsOf: () => Promise.resolve(connections),
    workspacesOf: (numbers) => {
      assertEquals(numbers, ["2", "4"]);
      return Promise.resolve(options.owners ?? ["workspace"]);
    },
    accounts: (id) => {
      asked.push(id);
      if (!connections.find((each) => each.id === id)!.hasKey && options.hasSharedKey === false) {
        throw new AppError(422, "kapso_api_key_missing", "none");
      }
      return Promise.resolve({
        listPhoneNumbers: () => {
          const { status } = options;
          if (status !== undefined) {
            throw new KapsoError({ status, code: "x", message: "x", isRetryable: false });
          }
          return Promise.resolve([{ phone_number_id: "2" }, { phone_number_id: "4" }, {}]);
        },
      } as unknown as KapsoClient);
    },
  })("workspace", options.connectionId ?? null, AbortSignal.timeout(1000));
  return result.reason ?? asked.at(-1)!;
}

Deno.test("a connection's own key is used without looking at its project", async () => {
  assertEquals(await connect([OWN, SHARED]), "own");
  assertEquals(await connect([OWN, OTHER]), "several_kapso_keys");
  assertEquals(await connect([OWN, OTHER], { connectionId: "other" }), "other");
  assertEquals(await connect([OWN], { connectionId: "gone" }), "no_kapso_key");
  assertEquals(await connect([]), "no_kapso_key");
});

Deno.test("the installation's key is used only where all phone numbers of its project are this workspace's", async () => {
  assertEquals(await connect([SHARED, UNKNOWN]), "shared");
  assertEquals(await connect([SHARED], { owners: ["workspace", "other"] }), "no_kapso_key");
  assertEquals(await connect([SHARED], { owners: ["other"] }), "no_kapso_key");
  assertEquals(await connect([UNKNOWN]), "no_kapso_key");
  assertEquals(await connect([SHARED], { hasSharedKey: false }), "no_kapso_key");
  await assertRejects(() => connect([SHARED], { status: 500 }), KapsoError);
});
