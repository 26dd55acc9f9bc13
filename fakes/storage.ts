/**
 * A fake of Supabase Storage with buckets, uploads and signed links. It answers like the Storage API, which often
 * has the status 400 in the head and the real one in the body.
 *
 * @module
 */

import { type Context, Hono } from "hono";

/** A stored file. */
export interface StoredObject {
  bytes: Uint8Array<ArrayBuffer>;
  contentType: string;
}

/** A running fake. Stops when it is disposed of. */
export interface FakeStorage extends AsyncDisposable {
  /** In the place of `SUPABASE_URL`. */
  url: string;
  serviceKey: string;
  buckets: Map<string, { public: boolean }>;
  /** By `bucket/path`. */
  objects: Map<string, StoredObject>;
  /** The number of accepted uploads. */
  uploads: number;
  /** The status of each answer; null for correct answers. */
  failure: number | null;
  /** The limit for files in bytes, in any bucket. */
  maxFileSize: number;
}

/** A refusal of Storage. */
function refuse(status: number, statusCode: string, error: string, message = error): Response {
  return Response.json({ statusCode, error, message }, { status });
}

/** Starts a fake Storage. */
export function startFakeStorage(): FakeStorage {
  const serviceKey = "service-key-of-the-fake-storage";
  const tokens = new Map<string, { key: string; expiresAt: number }>();
  const app = new Hono().basePath("/storage/v1");
  const keyOf = (context: Context, prefix: string) =>
    decodeURIComponent(context.req.path.slice(`/storage/v1${prefix}`.length));
  const noObject = () => refuse(400, "404", "not_found", "Object not found");

  app.use(async (context, next) => {
    if (fake.failure !== null) {
      return refuse(fake.failure, String(fake.failure), "Internal Server Error");
    }
    const isSigned = context.req.method === "GET" &&
      context.req.path.startsWith("/storage/v1/object/sign/");
    if (!isSigned && context.req.header("Authorization") !== `Bearer ${serviceKey}`) {
      return refuse(400, "403", "Unauthorized", "new row violates row-level security policy");
    }
    await next();
  });
  app.get("/bucket/:id", (context) => {
    const id = context.req.param("id");
    const bucket = fake.buckets.get(id);
    return bucket === undefined
      ? refuse(400, "404", "Bucket not found")
      : context.json({ id, name: id, public: bucket.public });
  });
  app.post("/bucket", async (context) => {
    const { id, public: isPublic = false } = await context.req.json();
    if (fake.buckets.has(id)) {
      return refuse(400, "409", "Duplicate", "The resource already exists");
    }
    fake.buckets.set(id, { public: isPublic });
    return context.json({ name: id });
  });
  app.post("/object/sign/*", async (context) => {
    const key = keyOf(context, "/object/sign/");
    if (!fake.objects.has(key)) return noObject();
    const { expiresIn } = await context.req.json();
    const token = crypto.randomUUID();
    tokens.set(token, { key, expiresAt: Date.now() + expiresIn * 1000 });
    return context.json({ signedURL: `/object/sign/${key}?token=${token}` });
  });
  app.get("/object/sign/*", (context) => {
    const key = keyOf(context, "/object/sign/");
    const token = tokens.get(context.req.query("token") ?? "");
    if (token?.key !== key || token.expiresAt < Date.now()) {
      return refuse(400, "400", "InvalidJWT", '"exp" claim timestamp check failed');
    }
    const object = fake.objects.get(key);
    if (object === undefined) return noObject();
    return new Response(object.bytes, { headers: { "Content-Type": object.contentType } });
  });
  app.post("/object/*", async (context) => {
    const key = keyOf(context, "/object/");
    if (!fake.buckets.has(key.split("/")[0]!)) return refuse(400, "404", "Bucket not found");
    if (fake.objects.has(key) && context.req.header("x-upsert") !== "true") {
      return refuse(400, "409", "Duplicate", "The resource already exists");
    }
    // Throws for an upload that is cut off, which is not stored.
    const bytes = new Uint8Array(await context.req.arrayBuffer());
    if (bytes.length > fake.maxFileSize) {
      return refuse(
        400,
        "413",
        "Payload too large",
        "The object exceeded the maximum allowed size",
      );
    }
    fake.objects.set(key, { bytes, contentType: context.req.header("Content-Type") ?? "" });
    fake.uploads++;
    return context.json({ Key: key, Id: crypto.randomUUID() });
  });

  app.delete("/object/:bucket", async (context) => {
    const { prefixes } = await context.req.json();
    const keys = (prefixes as string[]).map((path) => `${context.req.param("bucket")}/${path}`)
      .filter((key) => fake.objects.delete(key));
    return context.json(keys.map((name) => ({ name })));
  });

  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {},
    onError: () => refuse(500, "500", "internal"),
  }, app.fetch);
  const fake: FakeStorage = {
    url: `http://127.0.0.1:${server.addr.port}`,
    serviceKey,
    buckets: new Map(),
    objects: new Map(),
    uploads: 0,
    failure: null,
    maxFileSize: 50 * 1024 * 1024,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
  return fake;
}
