/** A client of messaging-ingest and messaging-people, with safe retries. */
import { setTimeout as sleep } from "node:timers/promises";

const REQUEST_TIMEOUT_MS = 120_000;
const MAX_WAIT_SECONDS = 30;

/** A request that fails again if it is repeated: fix the key, the connection or the request. */
export class RefusedError extends Error {
  constructor(status, { error, message, code }) {
    super(`${status} ${code ?? ""}: ${error ?? message ?? "no reason given"}`);
    this.status = status;
    this.code = code;
  }
}

/** The API as one connection uses it. */
export class MessagingClient {
  #settings;

  /** @param settings `url` of the project, `key`, `platform`, `connectionId`, and `log(text)` for retries. */
  constructor(settings) {
    this.#settings = settings;
  }

  /**
   * Stores conversations, up to 500 with up to 5,000 messages together, and returns one result for each.
   * Retries until the API answers 200; a repeat stores nothing twice, because messages are compared by id.
   *
   * @throws {RefusedError} for 4xx, except 429.
   */
  async ingest(conversations) {
    const { platform, connectionId } = this.#settings;
    try {
      const body = JSON.stringify({ platform, connection_id: connectionId, conversations });
      return (await this.#request("messaging-ingest", { method: "POST", body })).results;
    } catch (error) {
      const isTooLarge = error instanceof RefusedError &&
        (error.status === 413 || error.code === "batch_too_slow");
      if (!isTooLarge || conversations.length === 1) throw error;
      const half = Math.ceil(conversations.length / 2);
      return [
        ...await this.ingest(conversations.slice(0, half)),
        ...await this.ingest(conversations.slice(half)),
      ];
    }
  }

  /** Reads the contacts of the workspace that changed since a time (ISO 8601), some of them twice. */
  async *people(since = "1970-01-01T00:00:00Z") {
    const limit = 500;
    let offset = 0;
    while (true) {
      const query = new URLSearchParams({ limit, offset, updated_since: since });
      const { people } = await this.#request(`messaging-people?${query}`, { method: "GET" });
      yield* people;
      if (people.length < limit) return;
      // Continue from the last change: a contact that changes meanwhile moves to the end.
      const last = people.at(-1).updated_at;
      offset = last === since ? offset + people.length : 0;
      since = last;
    }
  }

  async #request(path, init) {
    for (let attempt = 0;; attempt++) {
      const { status, retryAfter, answer } = await this.#attempt(path, init);
      if (status === 200) return answer;
      const canPass = status === 0 || status === 429 || status >= 500;
      if (!canPass) throw new RefusedError(status, answer);
      // A random wait keeps bridges from returning all at once.
      const backoff = Math.random() * Math.min(MAX_WAIT_SECONDS, 2 ** attempt);
      const seconds = Math.max(retryAfter, backoff);
      this.#settings.log(`${status || "no answer"}: retry in ${seconds.toFixed(1)} s`);
      await sleep(seconds * 1000);
    }
  }

  async #attempt(path, init) {
    const { url, key, connectionId } = this.#settings;
    try {
      const response = await fetch(`${url}/functions/v1/${path}`, {
        ...init,
        headers: {
          "content-type": "application/json",
          "x-api-key": key,
          "x-connection-id": connectionId,
        },
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      const retryAfter = Number(response.headers.get("retry-after")) || 0;
      const text = await response.text();
      // Something in front of the API may answer with a page of HTML.
      const answer = response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : {};
      return { status: response.status, retryAfter, answer };
    } catch {
      // No answer, or half of one. The messages may be stored or not; a repeat is safe.
      return { status: 0, retryAfter: 0, answer: {} };
    }
  }
}
