/**
 * Counts calls, failures and durations, so that a sync that fails quietly does not go unnoticed.
 *
 * @module
 */

/** Figures of one kind of call since the service was made. */
export interface CallMetrics {
  /** Finished calls, failed ones included. A repeat within a call is not a call. */
  readonly total: number;
  /** Calls that ended without a result. */
  readonly failed: number;
  /** Mean duration of the calls that succeeded, repeats included, in milliseconds; 0 before the first. */
  readonly averageMs: number;
}

/** Figures of a service. Calls that the cache answered, or that a switched-off service skipped, do not count. */
export interface SyncMetrics {
  /** State syncs: `syncConversationFromAgent`, and what `syncGraphStateToApi` and `syncState` send. */
  readonly syncs: CallMetrics;
  /** All calls, syncs among them. */
  readonly calls: CallMetrics;
  /** Attempts that were repeats of one that failed. */
  readonly retries: number;
  /** Tenant look-ups that the cache answered. */
  readonly cacheHits: number;
}

/** Counts one kind of call. */
export class CallCounter {
  #succeeded = 0;
  #failed = 0;
  #succeededMs = 0;

  /** Counts a call that is over. */
  add(outcome: "succeeded" | "failed", durationMs: number): void {
    if (outcome === "failed") {
      this.#failed++;
      return;
    }
    this.#succeeded++;
    this.#succeededMs += durationMs;
  }

  /** The figures so far. */
  snapshot(): CallMetrics {
    return {
      total: this.#succeeded + this.#failed,
      failed: this.#failed,
      averageMs: this.#succeeded === 0 ? 0 : this.#succeededMs / this.#succeeded,
    };
  }
}
