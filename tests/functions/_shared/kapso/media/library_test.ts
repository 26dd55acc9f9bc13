/**
 * Which files are fetched, from where, and how they are kept.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  createDownload,
  MediaError,
} from "../../../../../supabase/functions/_shared/kapso/media/download.ts";
import { createMediaStorage } from "../../../../../supabase/functions/_shared/kapso/media/storage.ts";
import {
  allowedType,
  extensionOf,
  isShowable,
  sizeLimit,
} from "../../../../../supabase/functions/_shared/kapso/media/file_types.ts";
import { startFakeStorage } from "../../../../../fakes/storage.ts";

const MB = 1024 * 1024;

Deno.test("only known and harmless types are stored", () => {
  const cases: [string | undefined, string | null | undefined, string | undefined][] = [
    ["audio/ogg; codecs=opus", undefined, "audio/ogg"],
    ["IMAGE/JPEG", "image/jpeg", "image/jpeg"],
    // The server knows better than the sender.
    ["image/jpeg", "image/png", "image/png"],
    ["application/pdf", "binary/octet-stream", "application/pdf"],
    ["application/octet-stream", "application/pdf", "application/pdf"],
    [undefined, null, "application/octet-stream"],
    ["image/svg+xml", undefined, undefined],
    ["text/html", "application/pdf", undefined],
    ["image/jpeg", "text/html; charset=utf-8", undefined],
    ["application/xhtml+xml", undefined, undefined],
    ["text/xml", undefined, undefined],
    ["constructor", undefined, undefined],
  ];
  for (const [declared, answered, expected] of cases) {
    assertEquals(allowedType(declared, answered), expected, `${declared}, ${answered}`);
  }
  assertEquals(["image/jpeg", "video/mp4", "application/pdf"].map(sizeLimit), [
    5 * MB,
    16 * MB,
    100 * MB,
  ]);
  assertEquals([extensionOf("audio/ogg"), extensionOf("application/octet-stream")], ["ogg", "bin"]);
  assertEquals(["image/png", "application/pdf", "text/plain"].map(isShowable), [true, true, false]);
});

/** Downloads without a network: what each address answers. */
function offline(answers: Record<string, () => Response>, hosts: string[] = []) {
  const seen: { url: string; headers: Headers }[] = [];
  const download = createDownload({
    baseUrl: "http://127.0.0.1:8000",
    hosts,
    fetch: (input, init) => {
      const url = String(input);
      seen.push({ url, headers: new Headers(init?.headers) });
      return Promise.resolve(answers[url]?.() ?? new Response(null, { status: 404 }));
    },
  });
  const get = async (url: string, declaredType?: string) => {
    const { body, ...rest } = await download(url, {
      declaredType,
      signal: AbortSignal.timeout(5000),
    });
    return { ...rest, bytes: new Uint8Array(await new Response(body).arrayBuffer()) };
  };
  const reasonOf = async (url: string, declaredType?: string) =>
    (await assertRejects(() => get(url, declaredType), MediaError)).reason;
  return { seen, get, reasonOf };
}

const file = (bytes: number, type = "image/jpeg") =>
  new Response(new Uint8Array(bytes), { headers: { "Content-Type": type } });
const redirect = (to: string) => new Response(null, { status: 302, headers: { Location: to } });

Deno.test("files are downloaded from known hosts alone, without a key", async () => {
  const { seen, get, reasonOf } = offline({
    "https://app.kapso.ai/a": () => redirect("https://files.example/b"),
    "https://app.kapso.ai/c": () => redirect("http://169.254.169.254/latest"),
    "https://app.kapso.ai/d": () => redirect("/e"),
    "https://app.kapso.ai/e": () => file(3),
    "https://app.kapso.ai/loop": () => redirect("/loop"),
    "http://127.0.0.1:8000/f": () => file(4),
    "https://files.example/b": () => file(5),
  });
  assertEquals((await get("https://app.kapso.ai/d")).bytes.length, 3);
  assertEquals((await get("http://127.0.0.1:8000/f")).bytes.length, 4);
  assert(seen.every(({ headers }) => !headers.has("X-API-Key") && !headers.has("Authorization")));
  const before = seen.length;
  for (
    const url of [
      "https://files.example/b",
      "http://app.kapso.ai/e",
      "https://app.kapso.ai:8443/e",
      "https://app.kapso.ai.example/e",
      "https://kapso.ai@169.254.169.254/",
      "http://127.0.0.1:9000/f",
      "file:///etc/passwd",
      "nonsense",
    ]
  ) assertEquals(await reasonOf(url), "host_not_allowed", url);
  assertEquals(seen.length, before, "no request was sent");
  assertEquals(await reasonOf("https://app.kapso.ai/a"), "host_not_allowed");
  assertEquals(await reasonOf("https://app.kapso.ai/c"), "host_not_allowed");
  assertEquals(await reasonOf("https://app.kapso.ai/loop"), "unavailable");
  assertEquals(seen.filter(({ url }) => !url.startsWith("https://app.kapso.ai/")).length, 1);
  const allowed = offline({
    "https://app.kapso.ai/a": () => redirect("https://files.example/b"),
    "https://files.example/b": () => file(5),
  }, ["FILES.example"]);
  assertEquals((await allowed.get("https://app.kapso.ai/a")).bytes.length, 5);
});

Deno.test("a file that is too large, of a wrong type or missing has its reason", async () => {
  const drip = (total: number) =>
    new Response(
      new ReadableStream({
        pull(controller) {
          if (total <= 0) return controller.close();
          controller.enqueue(new Uint8Array(Math.min(total, MB)));
          total -= MB;
        },
      }),
      { headers: { "Content-Type": "image/jpeg" } },
    );
  const at = (status: number) => () => new Response("no", { status });
  const { get, reasonOf } = offline({
    "https://app.kapso.ai/fits": () => drip(5 * MB),
    "https://app.kapso.ai/grows": () => drip(6 * MB),
    "https://app.kapso.ai/says": () =>
      new Response("x", { headers: { "Content-Type": "image/jpeg", "Content-Length": "6000000" } }),
    "https://app.kapso.ai/page": () => file(3, "text/html"),
    "https://app.kapso.ai/gone": at(410),
    "https://app.kapso.ai/busy": at(503),
    "https://app.kapso.ai/limited": at(429),
  });
  const url = (name: string) => `https://app.kapso.ai/${name}`;
  assertEquals((await get(url("fits"))).bytes.length, 5 * MB);
  assertEquals(await reasonOf(url("grows")), "too_large");
  assertEquals(await reasonOf(url("says")), "too_large");
  assertEquals(await reasonOf(url("page"), "image/jpeg"), "type_not_allowed");
  assertEquals(await reasonOf(url("fits"), "image/svg+xml"), "type_not_allowed");
  assertEquals(await reasonOf(url("gone")), "gone");
  assertEquals(await reasonOf(url("busy")), "unavailable");
  assertEquals(await reasonOf(url("limited")), "unavailable");
});

Deno.test("the bucket is created once and private, and a project without Storage is detected", async () => {
  await using fake = startFakeStorage();
  const env = { supabaseUrl: fake.url, secretKey: fake.serviceKey };
  const [one, other] = [createMediaStorage(env), createMediaStorage(env)];
  assertEquals(await Promise.all([one.isThere(), other.isThere()]), [true, true]);
  assertEquals([...fake.buckets], [["media", { public: false }]]);

  const body = () => new Blob(["hello"]).stream();
  await one.upload("w/c/file.txt", body(), "text/plain");
  await one.upload("w/c/file.txt", body(), "text/plain");
  const link = await one.sign("w/c/file.txt", 60);
  const response = await fetch(link);
  assertEquals([response.headers.get("Content-Type"), await response.text()], [
    "text/plain",
    "hello",
  ]);
  const unsigned = await fetch(link.replace(/token=.*/, "token=x"));
  assertEquals((await unsigned.json()).error, "InvalidJWT");
  const reasonOf = async (action: () => Promise<unknown>) =>
    (await assertRejects(action, MediaError)).reason;
  assertEquals(await reasonOf(() => one.sign("w/c/other.txt", 60)), "gone");
  fake.maxFileSize = 3;
  assertEquals(await reasonOf(() => one.upload("w/c/2.txt", body(), "text/plain")), "too_large");
  fake.failure = 503;
  assertEquals(await reasonOf(() => one.upload("w/c/2.txt", body(), "text/plain")), "unavailable");
  const later = createMediaStorage(env);
  assertEquals(await reasonOf(() => later.isThere()), "unavailable");
  fake.failure = null;
  assertEquals(await later.isThere(), true, "asked again");
  fake.buckets.set("media", { public: true });
  assertEquals(await reasonOf(() => createMediaStorage(env).isThere()), "unavailable");

  const none = createMediaStorage(
    env,
    () => Promise.resolve(Response.json({ code: "NOT_FOUND" }, { status: 404 })),
  );
  assertEquals(await none.isThere(), false);
});
