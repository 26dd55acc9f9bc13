/**
 * Threads: close, reopen, read, assign. What Kapso should know too is told to it afterwards; that it could
 * not be told does not undo what is done here.
 *
 * @module
 */
import type { Context } from "hono";
import * as z from "zod";
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { AppError } from "../_shared/http/errors.ts";
import { limitBody, readJson, requireJson } from "../_shared/http/app.ts";
import { type KapsoClient, KapsoError } from "../_shared/kapso/api/client.ts";
import type { Log } from "../_shared/http/log.ts";
import { readInput } from "../_shared/http/validation.ts";
import type { UserApp } from "./handler.ts";
import { type CallFailure, refusal } from "./refusals.ts";
import { assignRequest, readRequest } from "./schema.ts";

/** What acting on threads needs of the outside world. */
export interface ConversationDeps {
  /** @throws {AppError} kapso_api_key_missing (422). */
  kapsoFor: (connectionId: string) => Promise<KapsoClient>;
  log: Log;
  now: () => number;
}

/** Whether Kapso knows of it. */
type KapsoState = "done" | "failed" | "not_connected";

/** Where a thread is at Kapso, as the database says. */
const kapsoSide = z.object({
  connection_id: z.string().nullish(),
  phone_number_id: z.string().nullish(),
  session_id: z.string().nullish(),
  message_id: z.string().nullish(),
});

const MAX_BODY_BYTES = 16 * 1024;
/** What a person waits for at most. */
const KAPSO_TIMEOUT_MS = 6_000;

/** Adds the routes. */
export function addConversationRoutes(app: UserApp, deps: ConversationDeps): void {
  const closeOrOpen = (status: "closed" | "open") =>
  async (
    context: Context<
      { Variables: { user: DatabaseClient; requestId: string } },
      "/conversations/:id/close" | "/conversations/:id/reopen"
    >,
  ) => {
    const { user } = context.var;
    const id = context.req.param("id");
    const side = await act(user.rpc("set_conversation_status", { conversation_id: id, status }));
    const kapso = await tellKapso(
      deps,
      side,
      (client, { session_id: session }) =>
        session
          ? client.setConversationStatus(session, status === "closed" ? "ended" : "active", {
            timeoutMs: KAPSO_TIMEOUT_MS,
          })
          : undefined,
    );
    return context.json({ conversation: await readConversation(user, id), kapso });
  };
  app.post("/conversations/:id/close", closeOrOpen("closed"));
  app.post("/conversations/:id/reopen", closeOrOpen("open"));

  app.post("/conversations/:id/read", limitBody(MAX_BODY_BYTES), async (context) => {
    const { user } = context.var;
    const id = context.req.param("id");
    // Without a body: everything.
    const hasBody = context.req.header("content-type") !== undefined;
    const { up_to: upTo } = readInput(readRequest, hasBody ? await readJson(context) : {});
    const side = await act(user.rpc("mark_conversation_read", {
      conversation_id: id,
      ...(upTo === undefined ? {} : { up_to: upTo }),
    }));
    const kapso = await tellKapso(
      deps,
      side,
      (client, { phone_number_id: number, message_id: message }) =>
        number && message
          ? client.markRead(number, message, { timeoutMs: KAPSO_TIMEOUT_MS })
          : undefined,
    );
    return context.json({ conversation: await readConversation(user, id), kapso });
  });

  app.post("/conversations/:id/unread", async (context) => {
    const { user } = context.var;
    const id = context.req.param("id");
    await act(user.rpc("mark_conversation_unread", { conversation_id: id }));
    return context.json({ conversation: await readConversation(user, id), kapso: NOT_CONNECTED });
  });

  app.post("/conversations/:id/assign", limitBody(MAX_BODY_BYTES), requireJson, async (context) => {
    const { user } = context.var;
    const id = context.req.param("id");
    const { user_id: assignee } = readInput(assignRequest, await readJson(context));
    await act(user.rpc("assign_conversation", {
      conversation_id: id,
      // The generated type does not know that it may be null.
      user_id: assignee as string,
    }));
    return context.json({ conversation: await readConversation(user, id), kapso: NOT_CONNECTED });
  });
}

const NOT_CONNECTED: KapsoState = "not_connected";

async function act(
  call: PromiseLike<{ data: unknown; error: CallFailure | null; status: number }>,
): Promise<unknown> {
  const { data, error, status } = await call;
  if (error) throw refusal(error, status);
  return data;
}

/** The row of `conversation_list`, as the caller sees it. */
async function readConversation(user: DatabaseClient, id: string) {
  const { data, error, status } = await user.from("conversation_list").select().eq("id", id)
    .maybeSingle();
  if (error) throw refusal(error, status);
  return data;
}

async function tellKapso(
  deps: ConversationDeps,
  given: unknown,
  tell: (
    client: KapsoClient,
    side: z.output<typeof kapsoSide>,
  ) => Promise<unknown> | undefined,
): Promise<KapsoState> {
  const side = kapsoSide.parse(given);
  if (!side.connection_id) return "not_connected";
  try {
    const told = tell(await deps.kapsoFor(side.connection_id), side);
    if (told === undefined) return "not_connected";
    await told;
    return "done";
  } catch (error) {
    if (error instanceof AppError && error.code === "kapso_api_key_missing") return "not_connected";
    // Also where the key cannot be read: what was done here is done, and an error would deny it.
    deps.log("error", "kapso_not_told", {
      code: error instanceof KapsoError
        ? error.code
        : error instanceof Error
        ? error.name
        : "unknown",
      status: error instanceof KapsoError ? error.status : undefined,
    });
    return "failed";
  }
}
