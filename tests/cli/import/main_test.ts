import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { strToU8, zipSync } from "fflate";

import { startFakeIngest, storedCount } from "../../../fakes/ingest.ts";
import { eventually } from "../../support/eventually.ts";

const ROOT = new URL("../../../", import.meta.url);
const FIXTURES = "tests/fixtures/import";
const ZONE = ["--time-zone", "Asia/Jakarta"];
const SARI = ["--me", "Toko Melati", "--participant", "+62 812-3456-7890", ...ZONE];

async function run(args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "cli/import/main.ts", ...args],
    cwd: ROOT,
    env: { MESSAGING_CONNECTION_ID: "connection_1", NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("import sends a Telegram account, and nothing the second time", async () => {
  await using fake = startFakeIngest();
  fake.misbehaviours.push({ kind: "status", status: 429, headers: { "retry-after": "0" } });
  const env = { MESSAGING_API_KEY: fake.key, SUPABASE_URL: fake.url };
  const args = [`${FIXTURES}/telegram/account.json`, "--batch", "10"];
  const first = await run(args, env);
  assertEquals(first.code, 0, first.stderr);
  assertEquals(storedCount(fake), 20);
  assertEquals(fake.requests.map(({ messageCount }) => messageCount), [10, 10]);
  assertStringIncludes(first.stdout, "Added                 20");
  assertStringIncludes(first.stdout, "1 × service message");
  assertStringIncludes(first.stderr, "429");

  const second = await run([...args, "--json"], env);
  assertEquals(second.code, 0);
  const summary = JSON.parse(second.stdout);
  assertEquals(
    [summary.success, summary.messages_added, summary.messages_already_there],
    [true, 0, 20],
  );
  assertEquals(storedCount(fake), 20);
  for (const output of [first, second]) {
    const all = output.stdout + output.stderr;
    assert(!all.includes(fake.key));
    for (const text of ["Halo", "katalog", "Pagi", "Warna"]) assert(!all.includes(text), text);
  }
});

Deno.test("import sends a WhatsApp zip with names, sizes and hashes of its files", async () => {
  await using fake = startFakeIngest();
  const folder = await Deno.makeTempDir();
  try {
    const chat = await Deno.readFile(
      new URL(`${FIXTURES}/whatsapp/ios_24h_dmy.txt`, ROOT),
    );
    const zip = `${folder}/WhatsApp Chat - Sari Wijaya.zip`;
    await Deno.writeFile(
      zip,
      zipSync({
        "00000012-PHOTO-2025-12-31-21-07-02.jpg": [strToU8("not really a photo"), { level: 0 }],
        "catatan.txt": strToU8("not the chat"),
        "_chat.txt": chat,
      }),
    );
    const env = { MESSAGING_API_KEY: fake.key };
    const { code, stderr } = await run(
      [zip, "--url", fake.url, "--participant", "+62 812-3456-7890", ...ZONE],
      env,
    );
    assertEquals(code, 0, stderr);
    const thread = fake.threads.get("6281234567890");
    assertEquals([thread?.participant, thread?.name], ["+6281234567890", "Sari Wijaya"]);
    const image = [...thread!.messages.values()].find(({ type }) => type === "image");
    assertEquals(image?.metadata, {
      source: "whatsapp_export",
      file_name: "00000012-PHOTO-2025-12-31-21-07-02.jpg",
      file_size: 18,
      sha256: "8edd7daf0eb75502845657a637ad9e62b78a8dcdb67a1c6861fb7c91752d519a",
    });

    // The same chat from another phone, as text, adds nothing.
    const again = await run(
      [`${FIXTURES}/whatsapp/android_12h_mdy.txt`, "--url", fake.url, ...SARI, "--json"],
      env,
    );
    assertEquals(JSON.parse(again.stdout).messages_added, 0);
    assertEquals(storedCount(fake), 7);

    // 64 MB that are said to be 1,000 bytes: no more than these are unpacked.
    const bomb = zipSync({ "_chat.txt": new Uint8Array(64 * 1024 * 1024).fill(97) });
    const sizes = new DataView(bomb.buffer, bomb.byteOffset, bomb.byteLength);
    sizes.setUint32(22, 1000, true);
    const directory = sizes.getUint32(bomb.length - 6, true);
    sizes.setUint32(directory + 24, 1000, true);
    await Deno.writeFile(zip, bomb);
    const huge = await run([zip, "--dry-run"]);
    assertEquals([huge.code, huge.stdout], [1, ""]);
    assertStringIncludes(huge.stderr, "_chat.txt is larger than the zip says");

    await Deno.writeFile(zip, (await Deno.readFile(zip)).subarray(0, 200));
    const cut = await run([zip, "--dry-run"]);
    assertEquals([cut.code, cut.stdout], [1, ""]);
    assertStringIncludes(cut.stderr, "not a complete zip file");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("import ends with code 1, 2 or 3 and says why", async () => {
  await using fake = startFakeIngest();
  fake.broken.add("user700000001");
  const telegram = `${FIXTURES}/telegram/account.json`;
  const group = `${FIXTURES}/telegram/group.json`;
  const whatsapp = `${FIXTURES}/whatsapp/android_24h_dmy.txt`;
  const env = { MESSAGING_API_KEY: fake.key, SUPABASE_URL: fake.url };
  const cases: [string[], Record<string, string>, number, string][] = [
    [[telegram], env, 3, "user700000001: Broken · x"],
    [[telegram], { ...env, MESSAGING_API_KEY: "wrong" }, 1, "Invalid API key"],
    [[telegram, "--connection", "other"], env, 1, "Check MESSAGING_API_KEY"],
    [[telegram], { SUPABASE_URL: fake.url }, 2, "Set MESSAGING_API_KEY"],
    [[telegram], { ...env, MESSAGING_API_KEY: "geheim\u00e9" }, 2, "characters that no key has"],
    [[], env, 2, "at least one"],
    [[telegram, "--frob"], env, 2, "--frob"],
    [[telegram, "--batch", "0"], env, 2, "1 to 5000"],
    [[telegram, whatsapp, ...SARI.slice(0, 2)], env, 2, "--participant"],
    [["missing.json"], env, 2, "There is no file"],
    [["README.html"], env, 2, ""],
    [[group], env, 2, "--me"],
    [[whatsapp, "--time-zone", "Mars/Base"], env, 2, "Asia/Jakarta"],
    [[`${FIXTURES}/whatsapp/ambiguous.txt`], env, 2, "--date-order"],
  ];
  const outputs = await Promise.all(cases.map(([args, environment]) => run(args, environment)));
  for (const [index, [args, environment, code, message]] of cases.entries()) {
    const output = outputs[index]!;
    assertEquals(output.code, code, `${args.join(" ")}\n${output.stderr}`);
    assertStringIncludes(output.stdout + output.stderr, message);
    const key = environment.MESSAGING_API_KEY;
    if (key && key !== "wrong") assert(!(output.stdout + output.stderr).includes(key));
    assert(!output.stderr.includes("    at "), output.stderr);
  }
});

Deno.test("import --dry-run needs no key and sends nothing; --help explains", async () => {
  await using fake = startFakeIngest();
  const [dry, help] = await Promise.all([
    run([`${FIXTURES}/whatsapp/traps.txt`, "--dry-run", ...SARI], { SUPABASE_URL: fake.url }),
    run(["--help"]),
  ]);
  assertEquals(dry.code, 0, dry.stderr);
  assertStringIncludes(dry.stdout, "Messages read          6");
  assertStringIncludes(dry.stdout, "nothing was sent");
  assertEquals(fake.requests.length, 0);
  assertEquals(help.code, 0);
  assertStringIncludes(help.stdout, "--participant");
});

Deno.test("import stops on Ctrl+C with a summary, and the next run completes it", async () => {
  await using fake = startFakeIngest();
  const telegram = `${FIXTURES}/telegram/account.json`;
  const env = {
    MESSAGING_API_KEY: fake.key,
    SUPABASE_URL: fake.url,
    MESSAGING_CONNECTION_ID: "connection_1",
  };
  // deno-lint-ignore no-explicit-any
  fake.misbehaviours.push(undefined as any, { kind: "slow", ms: 5_000 });
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "cli/import/main.ts", telegram, "--batch", "10", "--json"],
    cwd: ROOT,
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  await eventually("the slow request has begun", () => fake.misbehaviours.length === 0);
  child.kill("SIGINT");
  const { code, stdout } = await child.output();
  assertEquals(code, 3);
  const summary = JSON.parse(new TextDecoder().decode(stdout));
  assertEquals([summary.messages_added, summary.stopped], [10, "Interrupted"]);
  assertEquals((await run([telegram], env)).code, 0);
  assertEquals(storedCount(fake), 20);
});
