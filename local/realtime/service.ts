/**
 * Realtime on one machine: broadcasts over WebSockets and HTTP at `/realtime/v1`, fed by `realtime.send` in the
 * database. Like hosted Realtime it keeps nothing: a client that was away reads again what it shows.
 *
 * @module
 */

import postgres from "postgres";
import { Channels } from "./channels.ts";
import { Connection } from "./connection.ts";
import { startFeed } from "./feed.ts";
import { type Version, VERSIONS } from "./frames.ts";
import { answerBroadcast, headersOf } from "./http_broadcast.ts";
import { MAX_CONNECTIONS, PING_SECONDS } from "./limits.ts";
import { logWarning } from "../log.ts";
import { maintainPartitions } from "./partitions.ts";
import { createTokenCheck, type TokenCheck, TokenError, type TokenSecrets } from "./tokens.ts";

/** Where the service answers. */
export const REALTIME_PATH = "/realtime/v1/";

const MAINTENANCE_MS = 60 * 60 * 1000;
/** Connections that ask policies and read broadcasts; listening takes one more. */
const DATABASE_CONNECTIONS = 3;

/** The service, or the reason why it cannot answer now. */
export class RealtimeService {
  readonly #checkToken: TokenCheck;
  readonly #channels = new Channels();
  readonly #connections = new Set<Connection>();
  #databaseUrl: string | undefined;
  #sql: postgres.Sql | undefined;
  /** Counts the lives of the database: a connection that is ready only after its end is of no use. */
  #life = 0;
  #maintenance: ReturnType<typeof setInterval> | undefined;

  constructor(secrets: TokenSecrets) {
    this.#checkToken = createTokenCheck(secrets);
  }

  /** Connects to a database that has become ready. */
  async connect(databaseUrl: string): Promise<void> {
    this.#databaseUrl = databaseUrl;
    const life = ++this.#life;
    const sql = postgres(databaseUrl, {
      max: DATABASE_CONNECTIONS,
      onnotice: () => {},
      connection: { application_name: "realtime" },
    });
    try {
      await maintainPartitions(sql, new Date());
      await startFeed({ sql, channels: this.#channels, onGap: () => this.#restartClients() });
    } catch (error) {
      await sql.end({ timeout: 1 });
      throw error;
    }
    if (life !== this.#life) return await sql.end({ timeout: 1 });
    this.#sql = sql;
    this.#maintenance = setInterval(() => {
      maintainPartitions(sql, new Date()).catch((error) => {
        logWarning(`the partitions of realtime.messages could not be maintained: ${error}`);
      });
    }, MAINTENANCE_MS);
  }

  /** Drops the database and closes all connections. Clients connect again when it is back. */
  disconnect(): void {
    this.#drop()?.catch((error) => logWarning(`Realtime could not disconnect: ${error}`));
  }

  /** Connects again to the database that it dropped. */
  reconnect(): void {
    if (this.#databaseUrl === undefined || this.#sql) return;
    this.connect(this.#databaseUrl).catch((error) => {
      logWarning(`Realtime could not reconnect: ${error}`);
    });
  }

  /** Closes everything, for the end of the stack. */
  async close(): Promise<void> {
    await this.#drop();
  }

  /** Answers a request below {@linkcode REALTIME_PATH}. */
  async fetch(request: Request): Promise<Response> {
    const sql = this.#sql;
    if (!sql) {
      return failure(503, "Realtime was unable to connect to the project database", {
        "retry-after": "1",
      });
    }
    const url = new URL(request.url);
    const path = url.pathname.slice(REALTIME_PATH.length);
    if (path === "websocket") return await this.#upgrade(request, url, sql);
    if (path === "api/broadcast" || path.startsWith("api/broadcast/")) {
      const context = { sql, channels: this.#channels, checkToken: this.#checkToken };
      const rest = path.slice("api/broadcast".length);
      return await answerBroadcast(request, rest, context);
    }
    return failure(404, "Not found");
  }

  async #upgrade(request: Request, url: URL, sql: postgres.Sql): Promise<Response> {
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      return failure(426, "This address is for WebSockets", { upgrade: "websocket" });
    }
    const version = (url.searchParams.get("vsn") ?? "1.0.0") as Version;
    if (!VERSIONS.includes(version)) return new Response(null, { status: 403 });
    const token = request.headers.get("x-api-key") ?? url.searchParams.get("apikey");
    if (token === null) return failure(401, "API key is missing");
    try {
      await this.#checkToken(token);
    } catch (error) {
      if (error instanceof TokenError) return failure(401, error.message);
      throw error;
    }
    if (this.#connections.size >= MAX_CONNECTIONS) return failure(429, "Too many connected users");
    // The database may have gone during the check.
    if (this.#sql !== sql) return failure(503, "Realtime is restarting");
    // Unreadable once the request is upgraded.
    const headers = headersOf(request);
    let upgraded: Deno.WebSocketUpgrade;
    try {
      upgraded = Deno.upgradeWebSocket(request, { idleTimeout: PING_SECONDS });
    } catch {
      return failure(400, "The handshake lacks a header");
    }
    const { socket, response } = upgraded;
    const connection: Connection = new Connection({
      socket,
      version,
      sql,
      channels: this.#channels,
      checkToken: this.#checkToken,
      token,
      headers,
      onEnd: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
    return response;
  }

  #restartClients(): void {
    for (const connection of [...this.#connections]) connection.restart();
  }

  #drop(): Promise<void> | undefined {
    const sql = this.#sql;
    this.#sql = undefined;
    this.#life++;
    clearInterval(this.#maintenance);
    this.#restartClients();
    return sql?.end({ timeout: 1 });
  }
}

function failure(status: number, error: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error }, { status, headers });
}
