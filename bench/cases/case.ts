/**
 * The context of a case.
 *
 * @module
 */

import postgres from "postgres";
import { asRole, SUPERUSER } from "../../local/postgres/roles.ts";
import type { StackInfo } from "../../local/stack.ts";
import type { FakeKapso } from "../../fakes/kapso/fake_kapso.ts";
import type { Figure } from "../report.ts";

/** What a case may use. */
export interface BenchContext {
  readonly info: StackInfo;
  /** The process of the stack; the functions are its children. */
  readonly pid: number;
  /** The fake Kapso that the functions call. */
  readonly kapso: FakeKapso;
  /** Messages in the longest conversation, and conversations in the list. */
  readonly size: number;
  /** Multiplies the number of repetitions. */
  readonly effort: number;
  readonly isQuick: boolean;
  /** A run at full size, which writes its results. */
  readonly isComplete: boolean;
  /** Prints the current step. */
  readonly note: (text: string) => void;
}

/** One group of figures. */
export type BenchCase = (context: BenchContext) => Promise<Figure[]>;

/** Opens a client on the measured database, as its superuser: measuring needs checkpoints, settings and plans. */
export function openDatabase(
  context: BenchContext,
  options: postgres.Options<Record<string, postgres.PostgresType>> = {},
): postgres.Sql {
  return postgres(asRole(context.info.db_url, SUPERUSER), {
    max: 1,
    onnotice: () => {},
    ...options,
  });
}

/** Repetitions at this effort. */
export function repeat(context: BenchContext, count: number): number {
  return Math.max(3, Math.round(count * context.effort));
}

/** Calls in a turn. A quick run has fewer, and coarse figures: processor time is counted in steps of 10 ms. */
export function callsPerTurn(context: BenchContext, count: number): number {
  return context.isQuick ? Math.ceil(count / 5) : count;
}

/** Formats a size: 100,000. */
export function inWords(count: number): string {
  return count.toLocaleString("en");
}
