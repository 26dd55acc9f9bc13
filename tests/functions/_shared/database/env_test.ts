import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { readSupabaseEnv } from "../../../../supabase/functions/_shared/database/env.ts";

const URL = "https://x.supabase.co";
const LEGACY = { SUPABASE_SERVICE_ROLE_KEY: "legacy-secret", SUPABASE_ANON_KEY: "legacy-anon" };
const PRESENT = {
  SUPABASE_SECRET_KEYS: '{"other":"sb_secret_2","default":"sb_secret_1"}',
  SUPABASE_PUBLISHABLE_KEYS: '{"default":"sb_publishable_1","app":"sb_publishable_2"}',
};

Deno.test("legacy keys alone are enough", () => {
  assertEquals(readSupabaseEnv({ SUPABASE_URL: `${URL}/`, ...LEGACY }), {
    supabaseUrl: URL,
    secretKey: "legacy-secret",
    secretKeys: ["legacy-secret"],
    publishableKey: "legacy-anon",
  });
});

Deno.test("present keys alone are enough, and the one named default is used", () => {
  assertEquals(readSupabaseEnv({ SUPABASE_URL: URL, ...PRESENT }), {
    supabaseUrl: URL,
    secretKey: "sb_secret_1",
    secretKeys: ["sb_secret_1", "sb_secret_2"],
    publishableKey: "sb_publishable_1",
  });
});

Deno.test("of both kinds the present one is used, and callers may have either", () => {
  assertEquals(readSupabaseEnv({ SUPABASE_URL: URL, ...LEGACY, ...PRESENT }), {
    supabaseUrl: URL,
    secretKey: "sb_secret_1",
    secretKeys: ["sb_secret_1", "sb_secret_2", "legacy-secret"],
    publishableKey: "sb_publishable_1",
  });
  // While the platform moves to the present keys, a dictionary may be empty, or have no default.
  const env = { SUPABASE_URL: URL, ...LEGACY, ...PRESENT };
  assertEquals(readSupabaseEnv({ ...env, SUPABASE_SECRET_KEYS: "{}" }).secretKey, "legacy-secret");
  assertEquals(
    readSupabaseEnv({ ...env, SUPABASE_SECRET_KEYS: '{"mine":"sb_secret_3"}' }).secretKey,
    "sb_secret_3",
  );
});

Deno.test("a setting that is missing or wrong is named, without its value", () => {
  const env = { SUPABASE_URL: URL, ...LEGACY };
  for (const name of ["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_ANON_KEY"]) {
    assertThrows(() => readSupabaseEnv({ ...env, [name]: " " }), Error, name);
  }
  for (
    const wrong of ["sb_secret_1", '["sb_secret_1"]', '{"default":1}', '{"default":""}', "null"]
  ) {
    const error = assertThrows(
      () => readSupabaseEnv({ ...env, SUPABASE_SECRET_KEYS: wrong }),
      Error,
    );
    assertStringIncludes(error.message, "SUPABASE_SECRET_KEYS");
    assertEquals(error.message.includes("sb_secret_1"), false);
  }
});
