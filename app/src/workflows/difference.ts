/**
 * Compares two texts, word by word.
 *
 * @module
 */

import { diffArrays } from "diff";

/** A part of a text. */
export interface Part {
  text: string;
  /** Whether the other text differs here. */
  isChanged: boolean;
}

/** Two texts, each split into parts. */
export interface Difference {
  one: Part[];
  other: Part[];
  /** Whether equal parts were left out. */
  isCut: boolean;
}

/** Equal characters that are shown on each side of a difference. */
const CONTEXT = 160;
/** Differing words after which the rest counts as one difference, because finding more takes too long. */
const MAX_EDITS = 500;

/** Words of both texts, or of only one. */
interface Run {
  value: string[];
  removed?: boolean;
  added?: boolean;
}

/** Compares word by word. Unless `isWhole`, long equal parts are cut. */
export function differenceOf(one: string, other: string, isWhole: boolean): Difference {
  const ones = wordsOf(one);
  const others = wordsOf(other);
  const runs: Run[] = diffArrays(ones, others, { maxEditLength: MAX_EDITS }) ??
    frame(ones, others);
  const isSame = ({ removed, added }: Run) => !removed && !added;
  const isCut = !isWhole &&
    runs.some((run) => isSame(run) && run.value.join("").length > CONTEXT * 2);
  const partsOf = (missing: "removed" | "added"): Part[] =>
    runs.flatMap((run, index): Part[] => {
      if (run[missing]) return [];
      const text = run.value.join("");
      if (text === "") return [];
      if (!isSame(run)) return [{ text, isChanged: true }];
      const isFirst = index === 0;
      const isLast = index === runs.length - 1;
      return [{ text: isCut ? cut(text, isFirst, isLast) : text, isChanged: false }];
    });
  return { one: partsOf("added"), other: partsOf("removed"), isCut };
}

/** The common beginning and end of two texts, and the difference between. */
function frame(ones: string[], others: string[]): Run[] {
  const shorter = Math.min(ones.length, others.length);
  let start = 0;
  while (start < shorter && ones[start] === others[start]) start++;
  let end = 0;
  while (end < shorter - start && ones.at(-1 - end) === others.at(-1 - end)) end++;
  return [
    { value: ones.slice(0, start) },
    { value: ones.slice(start, ones.length - end), removed: true },
    { value: others.slice(start, others.length - end), added: true },
    { value: ones.slice(ones.length - end) },
  ];
}

/** Words with the space behind them: single spaces would match everywhere. */
function wordsOf(text: string): string[] {
  return text.match(/\S+\s*|\s+/g) ?? [];
}

/** Keeps only the beginning and end of an equal part, next to the differences. */
function cut(text: string, isFirst: boolean, isLast: boolean): string {
  if (text.length <= CONTEXT * 2) return text;
  const behind = isFirst ? "" : `${text.slice(0, CONTEXT).replace(/\S*$/, "")}…`;
  const before = isLast ? "" : `…${text.slice(-CONTEXT).replace(/^\S*/, "")}`;
  return [behind, before].filter(Boolean).join("\n");
}
