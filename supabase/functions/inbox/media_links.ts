/**
 * Routes of links to the files of messages. <img>, <video> and <a> send no headers, so the link itself
 * carries a signed permission for one file and some minutes.
 *
 * @module
 */
import { errors, jwtVerify, SignJWT } from "jose";
import * as z from "zod";
import { linkMedia, openMedia } from "../_shared/contracts/inbox/media.ts";
import { refused } from "../_shared/database/errors.ts";
import { AppError } from "../_shared/http/errors.ts";
import { addRoute } from "../_shared/http/routes.ts";
import { MediaError } from "../_shared/kapso/media/download.ts";
import { isShowable } from "../_shared/kapso/media/file_types.ts";
import type { MediaLibrary } from "../_shared/kapso/media/library.ts";
import type { MemberApp, OpenApp } from "./context.ts";
import type { MediaSource, MediaSourceStore } from "./store.ts";

/** What links to files need of the outside world. */
export interface MediaDeps {
  media: Pick<MediaLibrary, "openMedia">;
  mediaSources: MediaSourceStore;
  /** Keys of the signatures, at least 32 bytes each: the first one signs, all of them are accepted. */
  mediaLinkKeys: readonly Uint8Array[];
  /** Address of this function, as browsers reach it. */
  inboxUrl: string;
  /** Milliseconds since 1970. */
  now: () => number;
}

/** How long a link is valid. */
const LINK_SECONDS = 10 * 60;
/** Links of one period are the same, so that a page that asks again takes its pictures from the cache. */
const PERIOD_SECONDS = 5 * 60;
const MAX_BODY_BYTES = 16 * 1024;
const AUDIENCE = "inbox-media";

const claims = z.object({ conversation: z.guid(), message: z.string() });

/** Adds the route by which members ask for links. */
export function addMediaLinkRoute(app: MemberApp, deps: MediaDeps): void {
  addRoute(app, linkMedia, async ({ body, reply }, context) => {
    const { conversation_id: conversation, message_id: message } = body;
    // A member who sees the conversation may see its files.
    if (await context.var.member.findConversation(conversation) === null) {
      throw refused("conversation_not_found");
    }
    const source = await deps.mediaSources.find(conversation, message);
    if (source === undefined || !hasFile(source)) throw notFound();
    const now = Math.floor(deps.now() / 1000);
    const expiresAt = now - now % PERIOD_SECONDS + LINK_SECONDS;
    const token = await new SignJWT({ conversation, message })
      .setProtectedHeader({ alg: "HS256" })
      .setAudience(AUDIENCE)
      .setExpirationTime(expiresAt)
      .sign(deps.mediaLinkKeys[0]!);
    return reply(200, {
      url: `${deps.inboxUrl}/media/${token}`,
      expires_at: new Date(expiresAt * 1000).toISOString(),
    });
  }, { maxBodyBytes: MAX_BODY_BYTES });
}

/** Adds the route of the links themselves, which needs no sign-in. */
export function addMediaRoute(app: OpenApp, deps: MediaDeps): void {
  addRoute(app, openMedia, async ({ params }, context) => {
    const { conversation, message } = await readToken(deps, params.token);
    const source = await deps.mediaSources.find(conversation, message);
    if (source === undefined) throw notFound();
    try {
      const file = await deps.media.openMedia({ ...source, signal: context.req.raw.signal });
      const name = encodeURIComponent(file.filename ?? "file");
      return new Response(file.body, {
        headers: {
          "Content-Type": file.mimeType,
          ...(file.size === undefined ? {} : { "Content-Length": String(file.size) }),
          // A browser saves what it could run, and shows the rest.
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
      throw new AppError(503, "media_unavailable", "Couldn't fetch the file. Try again", {
        cause: error,
        retryAfterSeconds: 10,
      });
    }
  });
}

async function readToken(deps: MediaDeps, token: string): Promise<z.output<typeof claims>> {
  let cause: unknown;
  for (const key of deps.mediaLinkKeys) {
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: ["HS256"],
        audience: AUDIENCE,
        currentDate: new Date(deps.now()),
      });
      return claims.parse(payload);
    } catch (error) {
      const isBadToken = error instanceof errors.JOSEError || error instanceof z.ZodError;
      if (!isBadToken) throw error;
      cause = error;
    }
  }
  throw new AppError(403, "link_expired", "This link has expired. Open the file again", { cause });
}

function hasFile({ message }: MediaSource): boolean {
  const { metadata } = message;
  const type = metadata?.kapso_type;
  const details = typeof type === "string" ? metadata?.[type] : undefined;
  return Boolean(message.media_url) || metadata?.media !== undefined ||
    (typeof details === "object" && details !== null && "id" in details);
}

function notFound(): AppError {
  return new AppError(
    404,
    "media_not_found",
    "This message has no file, or the file no longer exists",
  );
}

/**
 * Derives the keys of media links from the secret keys of the project, in their order. While keys are exchanged,
 * links signed with the old one stay valid.
 *
 * @param secrets At least 32 characters each.
 */
export function mediaLinkKeys(secrets: readonly string[]): Promise<Uint8Array[]> {
  return Promise.all(secrets.map(deriveKey));
}

async function deriveKey(secret: string): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(secret),
    "HKDF",
    false,
    ["deriveBits"],
  );
  // Not the secret itself: a link's signature reveals nothing of it and is valid for nothing else.
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
