/**
 * Fair timing on a noisy machine: contenders take turns, and the median counts.
 *
 * @module
 */

/** One of several ways to do the same work. Called with the number of the round. */
export type Runs<Name extends string> = Readonly<Record<Name, (round: number) => Promise<unknown>>>;

/** Milliseconds of each round, by contender. */
export type Samples<Name extends string> = Record<Name, number[]>;

/**
 * Runs all contenders in turns, in one order and then in the other, so that other load on the machine affects them
 * alike.
 *
 * @param warmup Rounds at the beginning that are not counted.
 */
export async function takeTurns<Name extends string>(
  runs: Runs<Name>,
  rounds: number,
  warmup = 0,
): Promise<Samples<Name>> {
  return await takeTurnsBy(time, runs, rounds, warmup);
}

/** The same with another measure than time, such as processor time. */
export async function takeTurnsBy<Name extends string, Value>(
  measure: (run: () => Promise<unknown>) => Promise<Value>,
  runs: Runs<Name>,
  rounds: number,
  warmup = 0,
): Promise<Record<Name, Value[]>> {
  const names = Object.keys(runs) as Name[];
  const samples = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<
    Name,
    Value[]
  >;
  for (let round = 0; round < warmup + rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const value = await measure(() => runs[name](round));
      if (round >= warmup) samples[name].push(value);
    }
  }
  return samples;
}

/** Measures the milliseconds of some work. */
export async function time(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** The value below which a share of the samples lies. */
export function quantile(samples: readonly number[], share: number): number {
  if (samples.length === 0) throw new RangeError("there are no samples");
  const sorted = samples.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)]!;
  return below + (sorted[Math.ceil(place)]! - below) * (place % 1);
}

/** The median. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** Runs jobs from a queue with a number of workers. */
export async function runConcurrently<Job>(
  jobs: readonly Job[],
  workers: number,
  run: (job: Job, worker: number) => Promise<unknown>,
): Promise<void> {
  const queue = jobs.values();
  await Promise.all(Array.from({ length: workers }, async (_, worker) => {
    for (const job of queue) await run(job, worker);
  }));
}
