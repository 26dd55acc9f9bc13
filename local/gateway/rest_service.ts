/**
 * Keeps Auth and REST on the database through everything that happens to the database. When the
 * server dies, requests that were using it are answered at once, and its connections are given up:
 * the driver leaves a query waiting for ever whose connection broke between two statements of a
 * transaction. When the server is back, everything is put together anew.
 *
 * @module
 */

import { logWarning } from "../log.ts";
import type { RestApi } from "./rest.ts";
import { listenForSchemaChanges, type SchemaListener } from "./schema_listener.ts";

/** What is connected to the server between its start and its end. */
interface Life {
  readonly api: RestApi;
  /** Answers the requests that wait for the server. */
  readonly waiting: Set<(answer: Response) => void>;
  listener?: SchemaListener;
}

/** Auth and REST, or the reason why there is no answer now. */
export class RestService {
  readonly #createApi: (databaseUrl: string) => RestApi;
  #databaseUrl: string | undefined;
  #life: Life | undefined;

  constructor(createApi: (databaseUrl: string) => RestApi) {
    this.#createApi = createApi;
  }

  /** Connects to a server that has become ready. */
  async connect(databaseUrl: string): Promise<void> {
    this.#databaseUrl = databaseUrl;
    const life: Life = { api: this.#createApi(databaseUrl), waiting: new Set() };
    this.#life = life;
    life.listener = await listenForSchemaChanges(databaseUrl, () => life.api.forgetSchema());
    // For changes between the first request and now.
    await life.api.forgetSchema();
    if (this.#life !== life) await life.listener.close();
  }

  /** Gives up the server. Requests that were waiting for it are answered with 503. */
  disconnect(): void {
    const life = this.#life;
    if (!life) return;
    this.#life = undefined;
    for (const answer of life.waiting) {
      answer(databaseIsAway("The database went away; this may have been processed or not."));
    }
    close(life).catch((error) => logWarning(`could not disconnect: ${error}`));
  }

  /** Connects again to the server it had to give up. */
  reconnect(): void {
    if (this.#databaseUrl === undefined) return;
    // The server may be gone again; then the next `reconnect` is not far.
    this.connect(this.#databaseUrl).catch((error) => logWarning(`could not reconnect: ${error}`));
  }

  /** Answers a request for `/auth/v1` or `/rest/v1`. */
  async fetch(request: Request, peerAddress: string | null): Promise<Response> {
    const life = this.#life;
    if (!life) return databaseIsAway("The database is starting; nothing was processed.");
    // Not `Promise.race`: it would keep something of every request until the server ends.
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    life.waiting.add(resolve);
    life.api.fetch(request, peerAddress).then(resolve, reject);
    try {
      return await promise;
    } finally {
      life.waiting.delete(resolve);
    }
  }

  /** Closes the connections, for the end of the stack. */
  async close(): Promise<void> {
    const life = this.#life;
    this.#life = undefined;
    if (life) await close(life);
  }
}

async function close({ api, listener }: Life): Promise<void> {
  await Promise.all([api.close(), listener?.close()]);
}

/** What PostgREST answers while it has no database. */
function databaseIsAway(message: string): Response {
  return Response.json({ code: "PGRST001", message, details: null, hint: null }, {
    status: 503,
    headers: { "retry-after": "1", "access-control-allow-origin": "*" },
  });
}
