import { assertEquals } from "@std/assert";
import {
  signBody,
  verifySignature,
} from "../../../../../supabase/functions/_shared/kapso/webhook/signature.ts";

const SECRET = "demo-secret-A1b2";
const bytes = (text: string) => new TextEncoder().encode(text);

// Computed with another implementation.
const VECTORS = [
  ['{"ping":1}', "ff762f3d763b480e3de239d2cf751ecf223e97b70bfd81e45d27612786352093"],
  ['{"text":"Olá ☀️"}', "0fbd39af2bb748bce785d843b777476c38669a3e3b92b29e8ab35b9876044616"],
] as const;

for (const [body, signature] of VECTORS) {
  Deno.test(`verifySignature() accepts the known signature of ${body}`, async () => {
    assertEquals(await signBody(bytes(body), SECRET), signature);
    for (
      const written of [signature, `sha256=${signature}`, signature.toUpperCase(), ` ${signature} `]
    ) {
      assertEquals(await verifySignature(bytes(body), written, [SECRET]), SECRET);
    }
  });
}

Deno.test("verifySignature() refuses a wrong signature", async (test) => {
  const [body, signature] = VECTORS[0];
  const cases: [string, string, string | null | undefined, string[]][] = [
    ["a tampered body", body.replace("1", "2"), signature, [SECRET]],
    ["the same JSON with other whitespace", '{"ping": 1}', signature, [SECRET]],
    ["a wrong signature of the right length", body, signature.replace(/^f/, "0"), [SECRET]],
    ["another connection's secret", body, signature, ["demo-secret-other"]],
    ["no signature", body, undefined, [SECRET]],
    ["a null signature", body, null, [SECRET]],
    ["an empty signature", body, "", [SECRET]],
    ["only the prefix", body, "sha256=", [SECRET]],
    ["two prefixes", body, `sha256=sha256=${signature}`, [SECRET]],
    ["a signature cut short", body, signature.slice(0, 62), [SECRET]],
    ["a signature with more digits", body, `${signature}00`, [SECRET]],
    ["letters that are no hexadecimal digits", body, `z${signature.slice(1)}`, [SECRET]],
    ["no secret", body, signature, []],
    ["the escaped form of the same text", '{"text":"Ol\\u00e1 ☀️"}', VECTORS[1][1], [SECRET]],
  ];
  for (const [name, text, given, secrets] of cases) {
    await test.step(name, async () => {
      assertEquals(await verifySignature(bytes(text), given, secrets), undefined);
    });
  }
  await test.step("an empty secret, even if the body is signed with it", async () => {
    // HMAC with an empty key is HMAC with a block of zeros, which WebCrypto takes as a key.
    const key = await crypto.subtle.importKey(
      "raw",
      new Uint8Array(64),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["sign"],
    );
    const forged = new Uint8Array(await crypto.subtle.sign("HMAC", key, bytes(body)));
    const hex = Array.from(forged, (byte) => byte.toString(16).padStart(2, "0")).join("");
    assertEquals(await verifySignature(bytes(body), hex, [""]), undefined);
  });
});

Deno.test("verifySignature() says which secret it was, while two are valid", async () => {
  const [body, signature] = VECTORS[0];
  assertEquals(await verifySignature(bytes(body), signature, ["new", SECRET]), SECRET);
  assertEquals(await verifySignature(bytes(body), signature, ["", SECRET]), SECRET);
});

Deno.test("verifySignature() accepts bodies of every size and every byte", async () => {
  const large = crypto.getRandomValues(new Uint8Array(64 * 1024));
  const threeMegabytes = new Uint8Array(3 * 1024 * 1024).map((_, at) => large[at % large.length]!);
  for (const body of [new Uint8Array(0), Uint8Array.of(0xff, 0x00, 0xc3), threeMegabytes]) {
    const signature = await signBody(body, SECRET);
    assertEquals(await verifySignature(body, signature, [SECRET]), SECRET);
  }
});
