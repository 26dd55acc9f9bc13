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
  type KapsoProblem,
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
import { askKapso } from "./kapso_calls.ts";
import type { ConnectionOverview, ConnectionRow, MemberStore } from "./member_store.ts";
import {
  checkKey,
  claimNumber,
  type NumberProofDeps,
  problemError,
  problemOf,
} from "./number_proof.ts";
import type { CredentialStore } from "./store.ts";

/** What managing connections needs of the outside world. */
export interface ConnectionDeps extends NumberProofDeps {
  credentials: CredentialStore;
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
    const number_problem = await claimRequested(deps, {
      id,
      platform: body.platform,
      requested_phone_number_id: body.phone_number_id ?? null,
    });
    const connection = await readConnection(deps, member, body.workspace_id, id);
    return reply(201, { connection, api_secret, number_problem });
  }, { maxBodyBytes: MAX_BODY_BYTES });

  addRoute(app, updateConnection, async ({ params, body, reply }, context) => {
    const { member } = context.var;
    const updated = await member.updateConnection(params.id, body);
    const number_problem = body.phone_number_id === undefined
      ? null
      : await claimRequested(deps, updated);
    const connection = await readConnection(deps, member, updated.workspace_id, updated.id);
    return reply(200, { connection, number_problem });
  }, { maxBodyBytes: MAX_BODY_BYTES });

  addRoute(app, rotateConnectionSecret, async ({ params, body, reply }, context) => {
    const { member } = context.var;
    const { id } = await member.managedConnection(params.id);
    return reply(200, await member.rotateConnectionSecret(id, body.grace_hours));
  }, { maxBodyBytes: MAX_BODY_BYTES });

  addRoute(app, setKapsoCredentials, async ({ params, body, reply }, context) => {
    const { member } = context.var;
    const { id, workspace_id, platform, phone_number_id, requested_phone_number_id } = await member
      .managedConnection(params.id);
    if (platform !== "whatsapp") throw refused("invalid_connection_settings");
    if (body.api_key !== undefined) {
      if (body.api_key !== null) {
        // A key that Kapso refuses, or that has another project's numbers, is not kept.
        const number = requested_phone_number_id ?? phone_number_id;
        const problem = number === null
          ? await checkKey(deps, id, body.api_key)
          : await claimNumber(deps, id, number, body.api_key);
        if (problem !== null) throw problemError(problem);
      }
      await deps.credentials.setKapsoKey(id, body.api_key);
    }
    if (body.webhook_secret !== undefined) {
      await deps.credentials.setWebhookSecret(id, body.webhook_secret);
    }
    return reply(200, { connection: await readConnection(deps, member, workspace_id, id) });
  }, { maxBodyBytes: MAX_BODY_BYTES });

  addRoute(app, registerWebhookRoute, async ({ params, reply }, context) => {
    const connection = await context.var.member.managedConnection(params.id);
    const { id } = connection;
    const problem = await claimRequested(deps, connection);
    if (problem !== null) throw problemError(problem);
    const phoneNumberId = connection.requested_phone_number_id ?? connection.phone_number_id;
    if (connection.platform !== "whatsapp" || phoneNumberId === null) {
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
    const connection = await context.var.member.managedConnection(params.id);
    return reply(200, { webhook: await readWebhook(deps, connection) });
  });
}

/** Claims the number that a connection requests, if it requests one. Repeating it changes nothing. */
async function claimRequested(
  deps: ConnectionDeps,
  { id, platform, requested_phone_number_id: requested }: Pick<
    ConnectionRow,
    "id" | "platform" | "requested_phone_number_id"
  >,
): Promise<KapsoProblem | null> {
  return platform === "whatsapp" && requested !== null
    ? await claimNumber(deps, id, requested)
    : null;
}

/** The webhook of a connection's phone number. Why it cannot be read is a state of it. */
async function readWebhook(
  deps: ConnectionDeps,
  connection: ConnectionRow,
): Promise<WebhookHealth> {
  const failed = (problem: KapsoProblem): WebhookHealth => ({
    state: problem === "no_key" ? "no_key" : "unknown",
    url: null,
    missing_events: [],
    is_ours: false,
    problem,
  });
  const claimProblem = await claimRequested(deps, connection);
  if (claimProblem !== null) return failed(claimProblem);
  const number = connection.requested_phone_number_id ?? connection.phone_number_id;
  if (number === null) return failed("no_key");
  try {
    const kapso = await deps.kapsoFor(connection.id);
    return healthOf(await findWebhook(kapso, deps.webhookUrl, number));
  } catch (error) {
    const isOfKapso = error instanceof KapsoError ||
      (error instanceof AppError && error.code === "kapso_api_key_missing");
    if (!isOfKapso) throw error;
    return failed(problemOf(deps, error));
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
