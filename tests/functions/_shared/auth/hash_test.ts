import { assert, assertEquals } from "@std/assert";
import { isSameSecret, sha256Hex } from "../../../../supabase/functions/_shared/auth/hash.ts";

Deno.test("sha256Hex() hashes the UTF-8 bytes of a text", async () => {
  assertEquals(
    await sha256Hex("abc"),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});

Deno.test("isSameSecret() compares secrets of any length", async () => {
  assert(await isSameSecret("sb_secret_ü", "sb_secret_ü"));
  for (const [one, other] of [["a", "b"], ["a", "aa"], ["", "a"], ["a", ""]] as const) {
    assert(!await isSameSecret(one, other), `${one}, ${other}`);
  }
});
