/**
 * Keeps Auth and REST connected to the database when the server dies. Requests that used it get an answer at
 * once, and its connections are dropped, because the driver waits for ever for a query whose connection broke
 * between two statements of a transaction. When the server is back, the service connects again.
 *
 * @module
 */

import { logWarning } from "../log.ts";
import type { RestApi } from "./rest.ts";
import { listenForSchemaChanges, type SchemaListener } from "./schema_listener.ts";

/** The connections to one run of the server. */
interface Life {
  readonly api: RestApi;
  /** Answers requests that wait for the server. */
  readonly waiting: Set<(answer: Response) => void>;
  listener?: SchemaListener;
}

/** Auth and REST, or the reason why they cannot answer now. */
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
    // The schema may have changed since the first request.
    life.api.forgetSchema();
    if (this.#life !== life) await life.listener.close();
  }

  /** Drops the server. Requests that were waiting for it get 503. */
  disconnect(): void {
    const life = this.#life;
    if (!life) return;
    this.#life = undefined;
    for (const answer of life.waiting) {
      answer(
        databaseIsAway("The database went away. The request may or may not have been processed."),
      );
    }
    close(life).catch((error) => logWarning(`could not disconnect: ${error}`));
  }

  /** Connects again to the server that it dropped. */
  reconnect(): void {
    if (this.#databaseUrl === undefined) return;
    // If the server has gone again, another `reconnect` follows.
    this.connect(this.#databaseUrl).catch((error) => logWarning(`could not reconnect: ${error}`));
  }

  /** Answers a request for `/auth/v1` or `/rest/v1`. */
  async fetch(request: Request, peerAddress: string | null): Promise<Response> {
    const life = this.#life;
    if (!life) return databaseIsAway("The database is starting. Nothing was processed.");
    // Not `Promise.race`: it would hold memory of every request until the server ends.
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

/** The answer of PostgREST without a database. */
function databaseIsAway(message: string): Response {
  return Response.json({ code: "PGRST001", message, details: null, hint: null }, {
    status: 503,
    headers: { "retry-after": "1", "access-control-allow-origin": "*" },
  });
}
