/**
 * Starts the parts of the stack in order, and stops them in the opposite order.
 *
 * @module
 */

import { join } from "node:path";
import { createApp } from "./app.ts";
import { openDatabase } from "./postgres/database.ts";
import { delay } from "./delay.ts";
import { DEMO } from "./demo.ts";
import { startFakeKapso } from "./fake_kapso.ts";
import { CommandError } from "../cli/command_error.ts";
import { Functions } from "./gateway/functions.ts";
import { createGateway, type Gateway } from "./gateway/gateway.ts";
import { Lock } from "./lock.ts";
import { logWarning } from "./log.ts";
import { LOOPBACK } from "./ports.ts";
import { type Project, readProject } from "./project.ts";
import { FunctionProxy } from "./gateway/function_proxy.ts";
import { createRestApi } from "./gateway/rest.ts";
import { RestService } from "./gateway/rest_service.ts";
import { startSchedule } from "./schedule.ts";
import { generateSecrets, loadSecrets } from "./secrets.ts";
import { createUserTokenCheck } from "./gateway/user_token.ts";
import { watchFunctions } from "./gateway/watch_functions.ts";

/** How to start. */
export interface StackOptions {
  /** The folder that holds `supabase/`. */
  readonly folder: string;
  /** Where to listen; 0 is a free port, undefined is what `config.toml` says. */
  readonly port?: number | undefined;
  /** Work on data that is thrown away at the end. */
  readonly isThrowaway: boolean;
  /** Restart a function when its files change. */
  readonly isWatching: boolean;
  /** Let a fake Kapso write to the demo number. */
  readonly hasFakeKapso: boolean;
  /** Ends a start that is under way. */
  readonly signal: AbortSignal;
}

/** What `--json` prints: how to reach the stack, and what is in it. */
export interface StackInfo {
  api_url: string;
  db_url: string;
  publishable_key: string;
  secret_key: string;
  /** Where the inbox app is served; null where the project has none. */
  app_url: string | null;
  demo: typeof DEMO & { kapso_webhook_secret: string };
  /** The API of the fake Kapso; only where there is one. */
  fake_kapso?: { api_url: string; api_key: string };
}

/** A running stack. */
export interface Stack {
  readonly info: StackInfo;
  stop(): Promise<void>;
}

/** How long requests that are being answered may take to finish when the stack stops. */
const DRAIN_MS = 1_000;

/**
 * Starts a stack and resolves when it answers requests.
 *
 * @throws {CommandError} when a part does not start; everything that had started is stopped again.
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
          logWarning(`could not stop everything: ${error}`);
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
    const server = listen(options.port ?? project.config.api.port, (...args) => gateway(...args));
    let drained: Promise<void> | undefined;
    const drainServer = () => drained ??= drain(server);
    closers.push(drainServer);
    const apiUrl = `http://${LOOPBACK}:${server.addr.port}`;
    await lock?.sign({ pid: Deno.pid, api_url: apiUrl });

    const rest = new RestService((databaseUrl) =>
      createRestApi({ databaseUrl, config: project.config, secrets })
    );
    const database = await openDatabase({
      project,
      secrets,
      isThrowaway,
      signal,
      onLost: () => rest.disconnect(),
      onRestart: () => rest.reconnect(),
    });
    closers.push(() => database.server.stop(), () => rest.close());
    await rest.connect(database.url);

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
      env: {
        // A machine of one's own: nobody signs up here who must not.
        KAPSO_WORKSPACES: "*",
        ...providerSettings(Deno.env.toObject()),
        SUPABASE_URL: apiUrl,
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
      demo: { email: DEMO.email, password: DEMO.password },
      isWatching: options.isWatching,
    });
    gateway = createGateway({
      app,
      rest,
      functions,
      proxy,
      checkUserToken: await createUserTokenCheck(secrets.jwt_secret),
    });
    signal.throwIfAborted();
    // First of all when the stack stops: requests that are being answered still need the rest.
    closers.push(drainServer);
    // A test decides itself when something is due.
    if (!isThrowaway || options.hasFakeKapso) {
      const schedule = startSchedule({ apiUrl, secretKey: secrets.secret_key });
      closers.push(() => schedule.stop());
    }
    // Everything answers by now, so the build slows nobody. A throw-away stack may never be looked at.
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

/** Settings of the providers behind the functions, which may come from the environment of the stack. */
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
    "This project is running already" +
      (holder ? `: process ${holder.pid}, ${holder.api_url}` : "") +
      ". Stop it first, or start a second one on data of its own with --ephemeral --port 0.",
  );
}

function listen(port: number, gateway: Gateway): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({
      hostname: LOOPBACK,
      port,
      onListen: () => {},
      onError: (error) => {
        logWarning(`a request failed: ${error instanceof Error ? error.stack : error}`);
        return Response.json({ code: "INTERNAL_ERROR", message: "Internal Server Error" }, {
          status: 500,
        });
      },
    }, (request, { remoteAddr }) => gateway(request, remoteAddr));
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new CommandError(
      `Port ${port} is taken by another program. Stop that program, or choose another port: ` +
        "--port 54400, or --port 0 for any that is free.",
    );
  }
}

async function drain(server: Deno.HttpServer): Promise<void> {
  await Promise.race([server.shutdown(), delay(DRAIN_MS)]);
}
