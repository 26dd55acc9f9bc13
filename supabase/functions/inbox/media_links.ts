/**
 * Files of messages, by links that <img>, <video> and <a> can open: they send no headers, so the link
 * itself carries a signed permission for one file and some minutes.
 *
 * @module
 */
import type { Context } from "hono";
import { jwtVerify, SignJWT } from "jose";
import * as z from "zod";
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { AppError } from "../_shared/http/errors.ts";
import { type AppVariables, limitBody, readJson, requireJson } from "../_shared/http/app.ts";
import { isShowable, MediaError, type MediaLibrary } from "../_shared/kapso/media/library.ts";
import { readInput } from "../_shared/http/validation.ts";
import type { UserApp } from "./handler.ts";
import { refusal } from "./refusals.ts";
import { mediaLinkRequest } from "./schema.ts";
import type { MediaSource, MediaSources } from "./store.ts";

/** What links to files need of the outside world. */
export interface MediaDeps {
  media: Pick<MediaLibrary, "openMedia">;
  sources: MediaSources;
  /** Key of the signatures, at least 32 bytes. */
  mediaLinkKey: Uint8Array;
  /** Address of this function, as browsers reach it. */
  inboxUrl: string;
  now: () => number;
}

/** How long a link opens its file. */
const LINK_SECONDS = 10 * 60;
/** Links of one period are the same, so that a page that asks again does not load its pictures again. */
const PERIOD_SECONDS = 5 * 60;
const MAX_BODY_BYTES = 16 * 1024;
const AUDIENCE = "inbox-media";

const claims = z.object({ conversation: z.uuid(), message: z.string() });

/** What routes for everybody are added to: they come without a user. */
interface OpenApp {
  get(
    path: "/media/:token",
    handler: (context: Context<AppVariables, "/media/:token">) => Promise<Response>,
  ): unknown;
}

/**
 * Adds the routes.
 *
 * @param open Where whoever has a link comes in.
 * @param app Where members ask for links.
 */
export function addMediaRoutes(open: OpenApp, app: UserApp, deps: MediaDeps): void {
  app.post("/media-links", limitBody(MAX_BODY_BYTES), requireJson, async (context) => {
    const request = readInput(mediaLinkRequest, await readJson(context));
    await requireReader(context.var.user, request.conversation_id);
    const source = await deps.sources.find(request.conversation_id, request.message_id);
    if (source === undefined || !hasFile(source)) throw notFound();
    const now = Math.floor(deps.now() / 1000);
    const expiresAt = now - now % PERIOD_SECONDS + LINK_SECONDS;
    const token = await new SignJWT({
      conversation: request.conversation_id,
      message: request.message_id,
    })
      .setProtectedHeader({ alg: "HS256" })
      .setAudience(AUDIENCE)
      .setExpirationTime(expiresAt)
      .sign(deps.mediaLinkKey);
    return context.json({
      url: `${deps.inboxUrl}/media/${token}`,
      expires_at: new Date(expiresAt * 1000).toISOString(),
    });
  });

  open.get("/media/:token", async (context) => {
    const { conversation, message } = await readToken(deps, context.req.param("token"));
    const source = await deps.sources.find(conversation, message);
    if (source === undefined) throw notFound();
    try {
      const file = await deps.media.openMedia({ ...source, signal: context.req.raw.signal });
      const name = encodeURIComponent(file.filename ?? "file");
      return new Response(file.body, {
        headers: {
          "Content-Type": file.mimeType,
          ...(file.size === undefined ? {} : { "Content-Length": String(file.size) }),
          // What a browser could run is saved and not shown.
          "Content-Disposition": `${
            isShowable(file.mimeType) ? "inline" : "attachment"
          }; filename*=UTF-8''${name}`,
          "Cache-Control": `private, max-age=${PERIOD_SECONDS}`,
          "X-Content-Type-Options": "nosniff",
          "Content-Security-Policy": "sandbox; default-src 'none'",
          "Cross-Origin-Resource-Policy": "cross-origin",
          "Referrer-Policy": "no-referrer",
        },
      });
    } catch (error) {
      if (!(error instanceof MediaError)) throw error;
      if (!error.isPassing) throw notFound();
      throw new AppError(503, "media_unavailable", "The file cannot be fetched now. Try again", {
        cause: error,
        retryAfterSeconds: 10,
      });
    }
  });
}

async function readToken(deps: MediaDeps, token: string): Promise<z.output<typeof claims>> {
  try {
    const { payload } = await jwtVerify(token, deps.mediaLinkKey, {
      algorithms: ["HS256"],
      audience: AUDIENCE,
      currentDate: new Date(deps.now()),
    });
    return claims.parse(payload);
  } catch (cause) {
    throw new AppError(
      403,
      "link_expired",
      "This link is not valid any more. Open the file again",
      {
        cause,
      },
    );
  }
}

/** Whoever sees the thread may see its files. */
async function requireReader(user: DatabaseClient, conversationId: string): Promise<void> {
  const { data, error, status } = await user.from("conversation_list").select("id")
    .eq("id", conversationId).maybeSingle();
  if (error) throw refusal(error, status);
  if (data === null) {
    throw new AppError(404, "conversation_not_found", "There is no such conversation");
  }
}

function hasFile({ message }: MediaSource): boolean {
  const { metadata } = message;
  const type = metadata?.kapso_type;
  const details = typeof type === "string" ? metadata?.[type] : undefined;
  return Boolean(message.media_url) || metadata?.media !== undefined ||
    (typeof details === "object" && details !== null && "id" in details);
}

function notFound(): AppError {
  return new AppError(404, "media_not_found", "This message has no file, or it is gone");
}

/**
 * The key of media links, made of a secret of the project that the function has anyway.
 *
 * @param secret At least 32 characters.
 */
export async function mediaLinkKey(secret: string): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(secret),
    "HKDF",
    false,
    [
      "deriveBits",
    ],
  );
  // A key of its own: a link's signature says nothing of the secret, and is good for nothing else.
  const bits = await crypto.subtle.deriveBits(
    {
      name: "HKDF",
      hash: "SHA-256",
      salt: new Uint8Array(),
      info: new TextEncoder().encode(AUDIENCE),
    },
    key,
    256,
  );
  return new Uint8Array(bits);
}
