/**
 * The body of a request on its way through the gateway: bounded in size and in the time a client may pause.
 *
 * @module
 */

/** Limits of one body. */
export interface BodyLimits {
  /** Bytes of one body. */
  readonly maxBytes: number;
  /** How long the client may send nothing, in milliseconds. */
  readonly pauseMs: number;
}

/** Why a body was not read to its end. */
export type BodyFailure = "too_large" | "too_slow";

/** How long the rest of a body is awaited after the answer, in milliseconds. */
const DISCARD_MS = 5_000;

/** A body that counts what it passes on. */
export class RequestBody {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #limits: BodyLimits;
  readonly #onBytes: (bytes: number) => void;
  #seen = 0;
  #isAtEnd = false;

  /** Set when a limit was exceeded; the stream ends with an error then. */
  failure: BodyFailure | undefined;
  /** The body for the receiver. */
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;

  /** @param onBytes Called with the size of each part before it is passed on. May throw to end the stream. */
  constructor(
    body: ReadableStream<Uint8Array<ArrayBuffer>>,
    limits: BodyLimits,
    onBytes: (bytes: number) => void,
  ) {
    this.#reader = body.getReader();
    this.#limits = limits;
    this.#onBytes = onBytes;
    this.stream = new ReadableStream({
      pull: async (controller) => {
        const part = await this.#read();
        if (part === undefined) return controller.close();
        this.#onBytes(part.length);
        controller.enqueue(part);
      },
    }, { highWaterMark: 0 });
  }

  /**
   * Reads what the receiver left, within the limits. A connection that is closed with unread data is reset, and the
   * client could lose the answer.
   */
  async discard(): Promise<void> {
    const until = Date.now() + DISCARD_MS;
    try {
      while (Date.now() < until && await this.#read() !== undefined);
    } catch { /* The client has gone, or sends without end. */ }
  }

  async #read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#isAtEnd) return undefined;
    const { pauseMs, maxBytes } = this.#limits;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const pause = new Promise<"pause">((resolve) => {
      timer = setTimeout(() => resolve("pause"), pauseMs);
    });
    const part = await Promise.race([this.#reader.read(), pause]).finally(() =>
      clearTimeout(timer)
    );
    if (part === "pause") return this.#fail("too_slow");
    if (part.done) {
      this.#isAtEnd = true;
      return undefined;
    }
    this.#seen += part.value.length;
    if (this.#seen > maxBytes) return this.#fail("too_large");
    return part.value;
  }

  #fail(failure: BodyFailure): never {
    this.failure = failure;
    this.#isAtEnd = true;
    throw new Error(`the body is ${failure.replace("_", " ")}`);
  }
}
