/**
 * Routes of connections: list, create, rotate, switch off, and their credentials and webhook at Kapso.
 * Credentials go in and never come out.
 *
 * @module
 */
import {
  checkWebhook,
  type Connection,
  createConnection,
  listConnections,
  registerWebhook as registerWebhookRoute,
  rotateConnectionSecret,
  setKapsoCredentials,
  updateConnection,
  type WebhookHealth,
} from "../_shared/contracts/inbox/connections.ts";
import { refused } from "../_shared/database/errors.ts";
import { AppError } from "../_shared/http/errors.ts";
import { addRoute } from "../_shared/http/routes.ts";
import { KapsoError } from "../_shared/kapso/api/client.ts";
import {
  findWebhook,
  healthOf,
  registerWebhook,
} from "../_shared/kapso/api/webhook_registration.ts";
import type { MemberApp } from "./context.ts";
import { askKapso, type KapsoFor } from "./kapso_calls.ts";
import type { ConnectionOverview, MemberStore } from "./member_store.ts";
import type { CredentialStore } from "./store.ts";

/** What managing connections needs of the outside world. */
export interface ConnectionDeps {
  credentials: CredentialStore;
  kapsoFor: KapsoFor;
  /** Whether a connection without a key of its own may use the installation's. */
  hasInstallationKey: (connectionId: string) => Promise<boolean>;
  /** Address of kapso-webhook, as Kapso reaches it. */
  webhookUrl: string;
}

const MAX_BODY_BYTES = 16 * 1024;
const SILENCE_SECONDS = 24 * 60 * 60;

/** Adds the routes. */
export function addConnectionRoutes(app: MemberApp, deps: ConnectionDeps): void {
  addRoute(app, listConnections, async ({ query, reply }, context) => {
    const connections = await context.var.member.listConnections(query.workspace_id);
    return reply(200, { connections: await describe(deps, query.workspace_id, connections) });
  });

  addRoute(app, createConnection, async ({ body, reply }, context) => {
    const { member } = context.var;
    const { id, api_secret } = await member.createConnection(body);
    const connection = await readConnection(deps, member, body.workspace_id, id);
    return reply(201, { connection, api_secret });
  }, { maxBodyBytes: MAX_BODY_BYTES });

  addRoute(app, updateConnection, async ({ params, body, reply }, context) => {
    const { member } = context.var;
    const { id, workspace_id } = await member.updateConnection(params.id, body);
    return reply(200, { connection: await readConnection(deps, member, workspace_id, id) });
  }, { maxBodyBytes: MAX_BODY_BYTES });

  addRoute(app, rotateConnectionSecret, async ({ params, body, reply }, context) => {
    const { member } = context.var;
    const { id } = await member.managedConnection(params.id);
    return reply(200, await member.rotateConnectionSecret(id, body.grace_hours));
  }, { maxBodyBytes: MAX_BODY_BYTES });

  addRoute(app, setKapsoCredentials, async ({ params, body, reply }, context) => {
    const { member } = context.var;
    const { id, workspace_id, platform } = await member.managedConnection(params.id);
    if (platform !== "whatsapp") throw refused("invalid_connection_settings");
    if (body.api_key !== undefined) await deps.credentials.setKapsoKey(id, body.api_key);
    if (body.webhook_secret !== undefined) {
      await deps.credentials.setWebhookSecret(id, body.webhook_secret);
    }
    return reply(200, { connection: await readConnection(deps, member, workspace_id, id) });
  }, { maxBodyBytes: MAX_BODY_BYTES });

  addRoute(app, registerWebhookRoute, async ({ params, reply }, context) => {
    const { id, platform, phone_number_id: phoneNumberId } = await context.var.member
      .managedConnection(params.id);
    if (platform !== "whatsapp" || phoneNumberId === null) {
      throw new AppError(
        422,
        "connection_not_ready",
        "This connection has no phone_number_id, so it has no phone number at Kapso",
      );
    }
    const kapso = await deps.kapsoFor(id);
    const { health: webhook } = await askKapso(() =>
      registerWebhook({
        kapso,
        url: deps.webhookUrl,
        phoneNumberId,
        storedSecret: () => deps.credentials.webhookSecret(phoneNumberId),
        storeSecret: (secret) => deps.credentials.setWebhookSecret(id, secret),
      })
    );
    return reply(200, { webhook });
  });

  addRoute(app, checkWebhook, async ({ params, reply }, context) => {
    const { id, phone_number_id } = await context.var.member.managedConnection(params.id);
    return reply(200, { webhook: await readWebhook(deps, id, phone_number_id) });
  });
}

/** The webhook of a phone number; Kapso's refusals are a state of it. */
async function readWebhook(
  deps: ConnectionDeps,
  connectionId: string,
  phoneNumberId: string | null,
): Promise<WebhookHealth> {
  const unseen = { url: null, missing_events: [], is_ours: false };
  if (phoneNumberId === null) return { ...unseen, state: "no_key" };
  try {
    const kapso = await deps.kapsoFor(connectionId);
    return healthOf(await findWebhook(kapso, deps.webhookUrl, phoneNumberId));
  } catch (error) {
    if (error instanceof KapsoError) return { ...unseen, state: "unknown" };
    if (error instanceof AppError && error.code === "kapso_api_key_missing") {
      return { ...unseen, state: "no_key" };
    }
    throw error;
  }
}

/** One connection of a workspace, which the member has just been allowed to manage. */
async function readConnection(
  deps: ConnectionDeps,
  member: MemberStore,
  workspaceId: string,
  id: string,
): Promise<Connection> {
  const found = await member.listConnections(workspaceId, id);
  const [connection] = await describe(deps, workspaceId, found);
  // Deleted since the change.
  if (connection === undefined) throw refused("connection_not_found");
  return connection;
}

/** Connections of one workspace, with what follows from their columns. */
async function describe(
  deps: ConnectionDeps,
  workspaceId: string,
  connections: ConnectionOverview[],
): Promise<Connection[]> {
  const [first] = connections;
  const hasInstallationKey = first !== undefined && await deps.hasInstallationKey(first.id);
  return connections.map((row) => ({
    ...row,
    workspace_id: workspaceId,
    is_silent: row.is_active && (row.silence_seconds ?? Infinity) > SILENCE_SECONDS,
    can_send: row.platform === "whatsapp" && row.is_active && row.phone_number_id !== null &&
      (row.has_kapso_key || hasInstallationKey),
  }));
}
