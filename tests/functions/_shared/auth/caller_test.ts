import { assertEquals, assertRejects } from "@std/assert";
import { createCallerReader } from "../../../../supabase/functions/_shared/auth/caller.ts";
import { readSupabaseEnv } from "../../../../supabase/functions/_shared/database/env.ts";
import { AppError } from "../../../../supabase/functions/_shared/http/errors.ts";

const readCaller = createCallerReader(readSupabaseEnv({
  SUPABASE_URL: "http://127.0.0.1:1",
  SUPABASE_SECRET_KEYS: '{"default":"sb_secret_new","previous":"sb_secret_old"}',
  SUPABASE_PUBLISHABLE_KEYS: '{"default":"sb_publishable_1"}',
  SUPABASE_SERVICE_ROLE_KEY: "header.legacy.signature",
  SUPABASE_ANON_KEY: "header.anon.signature",
}));

function read(headers: Record<string, string>) {
  return readCaller(new Request("http://127.0.0.1:1/", { headers }));
}

Deno.test("while keys are exchanged, each secret key of the project counts, in either header", async () => {
  for (const key of ["sb_secret_new", "sb_secret_old", "header.legacy.signature"]) {
    assertEquals(await read({ authorization: `Bearer ${key}` }), { kind: "service" });
    assertEquals(await read({ apikey: key }), { kind: "service" });
    // The platform's own clients send the key in both.
    assertEquals(await read({ apikey: key, authorization: `Bearer ${key}` }), { kind: "service" });
  }
});

Deno.test("a key that was deleted, or is public, opens nothing", async () => {
  for (const key of ["sb_secret_deleted", "sb_publishable_1", ""]) {
    const error = await assertRejects(() => read({ authorization: `Bearer ${key}` }), AppError);
    assertEquals(error.code, "missing_authorization");
  }
  assertEquals((await read({ authorization: "Bearer header.user.signature" })).kind, "user");
});
