/**
 * Starts the parts of the stack in order, and stops them in the opposite order.
 *
 * @module
 */

import { join } from "node:path";
import { createApp } from "./app.ts";
import { openDatabase } from "./postgres/database.ts";
import { asRole, SUPERUSER } from "./postgres/roles.ts";
import { DEMO } from "./demo.ts";
import { startFakeKapso } from "./fake_kapso.ts";
import { CommandError } from "../cli/command_error.ts";
import { findEdgeDeno } from "./gateway/edge_deno.ts";
import { Functions } from "./gateway/functions.ts";
import { createGateway, type Gateway } from "./gateway/gateway.ts";
import { Lock } from "./lock.ts";
import { logWarning } from "./log.ts";
import { LOOPBACK } from "./ports.ts";
import { type Project, readProject } from "./project.ts";
import { listen } from "./gateway/listener.ts";
import { limitRequests, REQUEST_LIMITS, type RequestLimits } from "./gateway/request_limits.ts";
import { FunctionProxy } from "./gateway/function_proxy.ts";
import { RealtimeService } from "./realtime/service.ts";
import { createRestApi } from "./gateway/rest.ts";
import { RestService } from "./gateway/rest_service.ts";
import { startSchedule } from "./schedule.ts";
import { generateSecrets, loadSecrets } from "./secrets.ts";
import { createUserTokenCheck } from "./gateway/user_token.ts";
import { watchFunctions } from "./gateway/watch_functions.ts";

/** Options of {@linkcode startStack}. */
export interface StackOptions {
  /** The folder that holds `supabase/`. */
  readonly folder: string;
  /** The port to listen on; 0 is a free one, undefined that of `config.toml`. */
  readonly port?: number | undefined;
  /** Work on data that is removed at the end. */
  readonly isThrowaway: boolean;
  /** Restart a function when its files change. */
  readonly isWatching: boolean;
  /** Run a fake Kapso, whose customers write to the demo number. */
  readonly hasFakeKapso: boolean;
  /** Limits of the gateway that differ from `REQUEST_LIMITS`. */
  readonly limits?: Partial<RequestLimits> | undefined;
  /** Cancels the start. */
  readonly signal: AbortSignal;
}

/** The output of `--json`: the addresses and keys of the stack, and its demo data. */
export interface StackInfo {
  api_url: string;
  db_url: string;
  publishable_key: string;
  secret_key: string;
  /** The address of the inbox app; null if the project has none. */
  app_url: string | null;
  demo: typeof DEMO & { kapso_webhook_secret: string };
  /** The API of the fake Kapso, if there is one. */
  fake_kapso?: { api_url: string; api_key: string };
}

/** A running stack. */
export interface Stack {
  readonly info: StackInfo;
  stop(): Promise<void>;
}

/**
 * Starts a stack and resolves when it answers requests.
 *
 * @throws {CommandError} if a part does not start. The parts that had started are stopped.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { isThrowaway, signal } = options;
  const closers: (() => unknown)[] = [];
  let stopped: Promise<void> | undefined;
  const stop = () =>
    stopped ??= (async () => {
      for (const close of closers.reverse()) {
        try {
          await close();
        } catch (error) {
          logWarning(`could not stop a part of the stack: ${error}`);
        }
      }
    })();

  try {
    const project = await readProject(options.folder);
    await Deno.mkdir(project.localDir, { recursive: true });
    const lock = isThrowaway ? undefined : await lockProject(project);
    closers.push(() => lock?.release());
    const secrets = isThrowaway ? generateSecrets() : await loadSecrets(project.localDir);

    let gateway: Gateway = () => Promise.resolve(new Response(null, { status: 503 }));
    const listener = listen(
      options.port ?? project.config.api.port,
      limitRequests((...args) => gateway(...args), {
        limits: { ...REQUEST_LIMITS, ...options.limits },
        secretKey: secrets.secret_key,
      }),
    );
    closers.push(() => listener.stop());
    const apiUrl = `http://${LOOPBACK}:${listener.port}`;
    await lock?.sign({ pid: Deno.pid, api_url: apiUrl });

    // Found, or downloaded, while the database starts.
    const edgeDeno = findEdgeDeno();
    edgeDeno.catch(() => {});
    const rest = new RestService((databaseUrl) =>
      createRestApi({ databaseUrl, config: project.config, secrets })
    );
    const realtime = project.config.realtime.enabled ? new RealtimeService(secrets) : undefined;
    const database = await openDatabase({
      project,
      secrets,
      isThrowaway,
      signal,
      onLost: () => {
        rest.disconnect();
        realtime?.disconnect();
      },
      onRestart: () => {
        rest.reconnect();
        realtime?.reconnect();
      },
    });
    closers.push(() => database.server.stop(), () => rest.close(), () => realtime?.close());
    await Promise.all([
      rest.connect(database.url),
      // As hosted, where it asks the policies as any role that a token names.
      realtime?.connect(asRole(database.url, SUPERUSER)),
    ]);

    const fakeKapso = options.hasFakeKapso
      ? await startFakeKapso({
        apiUrl,
        phoneNumberId: DEMO.kapso_phone_number_id,
        webhookSecret: secrets.kapso_webhook_secret,
      })
      : undefined;
    closers.push(() => fakeKapso?.stop());
    const functions = new Functions({
      project,
      deno: await edgeDeno,
      env: {
        // Local only: every workspace may use the installation's key.
        KAPSO_WORKSPACES: "*",
        ...providerSettings(Deno.env.toObject()),
        SUPABASE_URL: apiUrl,
        SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: secrets.publishable_key }),
        SUPABASE_SECRET_KEYS: JSON.stringify({ default: secrets.secret_key }),
        // The legacy names too, as hosted projects have both.
        SUPABASE_ANON_KEY: secrets.publishable_key,
        SUPABASE_SERVICE_ROLE_KEY: secrets.secret_key,
        SUPABASE_DB_URL: database.url,
        CREDENTIALS_KEY: secrets.credentials_key,
        KAPSO_WEBHOOK_SECRET: secrets.kapso_webhook_secret,
        ...(fakeKapso && {
          KAPSO_API_URL: fakeKapso.info.api_url,
          KAPSO_API_KEY: fakeKapso.info.api_key,
        }),
      },
    });
    const proxy = new FunctionProxy();
    closers.push(() => proxy.close(), () => functions.stop());
    if (options.isWatching) {
      const watcher = watchFunctions(project, functions);
      closers.push(() => watcher.close());
    }

    const app = await createApp({
      project,
      apiUrl,
      publishableKey: secrets.publishable_key,
      hasRealtime: realtime !== undefined,
      demo: { email: DEMO.email, password: DEMO.password },
      isWatching: options.isWatching,
    });
    gateway = createGateway({
      app,
      rest,
      realtime,
      functions,
      proxy,
      checkUserToken: await createUserTokenCheck(secrets.jwt_secret),
    });
    signal.throwIfAborted();
    // The first part to stop: running requests still need the others.
    closers.push(() => listener.stop(), () => realtime?.close());
    // Tests decide when scheduled work runs.
    if (!isThrowaway || options.hasFakeKapso) {
      const schedule = await startSchedule({
        databaseUrl: database.url,
        apiUrl,
        secretKey: secrets.secret_key,
      });
      closers.push(() => schedule.stop());
    }
    // The other parts answer by now, so the build delays no request. A throw-away stack may never serve the app.
    if (!isThrowaway) app?.prepare();
    return {
      info: {
        api_url: apiUrl,
        db_url: database.url,
        publishable_key: secrets.publishable_key,
        secret_key: secrets.secret_key,
        app_url: app === undefined ? null : `${apiUrl}/app/`,
        demo: { ...DEMO, kapso_webhook_secret: secrets.kapso_webhook_secret },
        ...(fakeKapso === undefined ? {} : { fake_kapso: fakeKapso.info }),
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Settings of the providers that functions call, which the environment of the stack may set. */
function providerSettings(env: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => /^(?:KAPSO|SUMMARY)_/.test(name)),
  );
}

async function lockProject(project: Project): Promise<Lock> {
  const attempt = await Lock.tryTake(join(project.localDir, "stack.lock"));
  if ("lock" in attempt) return attempt.lock;
  const { holder } = attempt;
  throw new CommandError(
    "This project is already running" +
      (holder ? `: process ${holder.pid}, ${holder.api_url}` : "") +
      ". Stop it first, or start a second stack on data of its own with --ephemeral --port 0.",
  );
}
