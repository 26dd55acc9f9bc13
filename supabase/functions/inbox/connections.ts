/**
 * Connections: list, create, rotate, switch off, and the keys of their Kapso project. Keys go in and never
 * come out.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/database/clients.ts";
import type { Database } from "../_shared/database/database.types.ts";
import { AppError } from "../_shared/http/errors.ts";
import { limitBody, readJson, requireJson } from "../_shared/http/app.ts";
import { type KapsoClient, KapsoError } from "../_shared/kapso/api/client.ts";
import {
  findWebhook,
  healthOf,
  registerWebhook,
  type WebhookHealth,
} from "../_shared/kapso/api/webhook_registration.ts";
import type { Log } from "../_shared/http/log.ts";
import { readInput } from "../_shared/http/validation.ts";
import type { UserApp } from "./handler.ts";
import { invalidConnectionSettings, kapsoFailure, refusal } from "./refusals.ts";
import {
  createConnectionRequest,
  kapsoRequest,
  rotateRequest,
  updateConnectionRequest,
} from "./schema.ts";
import type { ConnectionSecrets } from "./store.ts";

/** What managing connections needs of the outside world. */
export interface ConnectionDeps {
  secrets: ConnectionSecrets;
  /** @throws {AppError} kapso_api_key_missing (422). */
  kapsoFor: (connectionId: string) => Promise<KapsoClient>;
  /** Whether a connection without a key of its own may use the installation's. */
  hasInstallationKey: (connectionId: string) => Promise<boolean>;
  /** Address of kapso-webhook, as Kapso reaches it. */
  webhookUrl: string;
  log: Log;
  now: () => number;
}

const MAX_BODY_BYTES = 16 * 1024;
const SILENCE_SECONDS = 24 * 60 * 60;

type ConnectionRow = Database["public"]["Tables"]["connections"]["Row"];

/** Adds the routes. */
export function addConnectionRoutes(app: UserApp, deps: ConnectionDeps): void {
  app.get("/connections", async (context) => {
    const workspaceId = context.req.query("workspace_id");
    if (!workspaceId) {
      throw new AppError(400, "invalid_request", "workspace_id is required");
    }
    return context.json({ connections: await list(deps, context.var.user, workspaceId) });
  });

  app.post("/connections", limitBody(MAX_BODY_BYTES), requireJson, async (context) => {
    const { user } = context.var;
    const request = readInput(createConnectionRequest, await readJson(context));
    const { data, error, status } = await user.rpc("create_connection", {
      workspace_id: request.workspace_id,
      platform: request.platform,
      connection_id: request.connection_id,
      ...(request.name === undefined ? {} : { name: request.name }),
      ...(request.phone_number_id === undefined
        ? {}
        : { phone_number_id: request.phone_number_id }),
    });
    if (error?.code === "42501") throw await notAllowed(user, request.workspace_id);
    if (error?.code === "23505") {
      throw new AppError(
        409,
        "connection_id_taken",
        "This connection_id or phone_number_id is in use already",
      );
    }
    if (error) throw refusal(error, status);
    const { id, api_secret } = data[0]!;
    const connections = await list(deps, user, request.workspace_id);
    return context.json(
      { connection: connections.find((each) => each.id === id), api_secret },
      201,
    );
  });

  app.patch("/connections/:id", limitBody(MAX_BODY_BYTES), requireJson, async (context) => {
    const { user } = context.var;
    const change = readInput(updateConnectionRequest, await readJson(context));
    const { data, error, status } = await user.rpc("update_connection", {
      id: context.req.param("id"),
      change: Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)),
    });
    if (error) throw refusal(error, status);
    return context.json({ connection: await describe(deps, user, data[0]!) });
  });

  app.post("/connections/:id/rotate", limitBody(MAX_BODY_BYTES), requireJson, async (context) => {
    const { user } = context.var;
    const { grace_hours } = readInput(rotateRequest, await readJson(context));
    const { id } = await managed(user, context.req.param("id"));
    const { data, error, status } = await user.rpc("rotate_connection_secret", { id, grace_hours });
    if (error) throw refusal(error, status);
    return context.json(data[0]!);
  });

  app.put("/connections/:id/kapso", limitBody(MAX_BODY_BYTES), requireJson, async (context) => {
    const { user } = context.var;
    const request = readInput(kapsoRequest, await readJson(context));
    const connection = await managed(user, context.req.param("id"));
    if (connection.platform !== "whatsapp") throw invalidConnectionSettings();
    if (request.api_key !== undefined) {
      await deps.secrets.setKapsoKey(connection.id, request.api_key);
    }
    if (request.webhook_secret !== undefined) {
      await deps.secrets.setWebhookSecret(connection.id, request.webhook_secret);
    }
    return context.json({ connection: await describe(deps, user, connection) });
  });

  app.post("/connections/:id/webhook", async (context) => {
    const { number, kapso, connection } = await kapsoSide(deps, context);
    const { health } = await ask(() =>
      registerWebhook({
        kapso,
        url: deps.webhookUrl,
        phoneNumberId: number,
        storedSecret: () => deps.secrets.webhookSecret(number),
        storeSecret: (secret) => deps.secrets.setWebhookSecret(connection.id, secret),
      })
    );
    return context.json({ webhook: health });
  });

  app.get("/connections/:id/health", async (context) => {
    const connection = await managed(context.var.user, context.req.param("id"));
    let webhook: WebhookHealth = { state: "no_key", url: null, missing_events: [], is_ours: false };
    if (connection.phone_number_id !== null) {
      const number = connection.phone_number_id;
      try {
        const kapso = await deps.kapsoFor(connection.id);
        webhook = healthOf(await findWebhook(kapso, deps.webhookUrl, number));
      } catch (error) {
        const hasNoKey = error instanceof AppError && error.code === "kapso_api_key_missing";
        if (!hasNoKey && !(error instanceof KapsoError)) throw error;
        if (!hasNoKey) webhook = { ...webhook, state: "unknown" };
      }
    }
    return context.json({ webhook });
  });
}

async function kapsoSide(
  deps: ConnectionDeps,
  context: { var: { user: DatabaseClient }; req: { param: (name: "id") => string } },
): Promise<{ number: string; kapso: KapsoClient; connection: ConnectionRow }> {
  const connection = await managed(context.var.user, context.req.param("id"));
  if (connection.platform !== "whatsapp" || connection.phone_number_id === null) {
    throw new AppError(
      422,
      "connection_not_ready",
      "This connection has no phone_number_id, so it is no number of Kapso",
    );
  }
  return {
    number: connection.phone_number_id,
    kapso: await deps.kapsoFor(connection.id),
    connection,
  };
}

async function ask<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question();
  } catch (error) {
    throw error instanceof KapsoError ? kapsoFailure(error) : error;
  }
}

/** The connection, where the caller may manage it. */
async function managed(user: DatabaseClient, id: string): Promise<ConnectionRow> {
  const { data, error, status } = await user.rpc("managed_connection", { id });
  if (error) throw refusal(error, status);
  return data[0]!;
}

async function list(deps: ConnectionDeps, user: DatabaseClient, workspaceId: string) {
  const { data, error, status } = await user.rpc("connection_overview", {
    workspace_id: workspaceId,
  });
  if (error) throw refusal(error, status);
  // They are all of one workspace.
  const hasInstallationKey = data[0] !== undefined && await deps.hasInstallationKey(data[0].id);
  return data.map((row) => ({
    ...row,
    workspace_id: workspaceId,
    is_silent: row.is_active && (row.silence_seconds ?? Infinity) > SILENCE_SECONDS,
    can_send: row.platform === "whatsapp" && row.is_active && row.phone_number_id !== null &&
      (row.has_kapso_key || hasInstallationKey),
  }));
}

async function describe(deps: ConnectionDeps, user: DatabaseClient, connection: ConnectionRow) {
  return (await list(deps, user, connection.workspace_id)).find(({ id }) => id === connection.id);
}

/** Why a connection could not be created. */
async function notAllowed(user: DatabaseClient, workspaceId: string): Promise<AppError> {
  const { data, error, status } = await user.from("workspaces").select("id").eq("id", workspaceId)
    .maybeSingle();
  if (error) return refusal(error, status);
  return data === null
    ? new AppError(404, "workspace_not_found", "There is no such workspace, or you are no member")
    : new AppError(403, "role_too_low", "Your role in this workspace does not allow this");
}
