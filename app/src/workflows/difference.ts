/**
 * Where two texts differ: what they begin and end with in common, and what lies between. Pure.
 *
 * @module
 */

/** A stretch of a text. */
export interface Part {
  text: string;
  /** Whether the other text has something else here. */
  isChanged: boolean;
}

/** Two texts, each in parts. */
export interface Difference {
  one: Part[];
  other: Part[];
  /** Something that both have was left out. */
  isCut: boolean;
}

/** Characters of what is the same that are shown on each side of the difference. */
const CONTEXT = 160;

/** Compares word by word. Unless `isWhole`, long stretches that are the same are cut. */
export function differenceOf(one: string, other: string, isWhole: boolean): Difference {
  const ones = wordsOf(one);
  const others = wordsOf(other);
  const shorter = Math.min(ones.length, others.length);
  let start = 0;
  while (start < shorter && ones[start] === others[start]) start++;
  let end = 0;
  while (end < shorter - start && ones.at(-1 - end) === others.at(-1 - end)) end++;
  const before = ones.slice(0, start).join("");
  const after = ones.slice(ones.length - end).join("");
  const isCut = !isWhole && Math.max(before.length, after.length) > CONTEXT * 2;
  const partsOf = (words: string[]): Part[] =>
    [
      { text: isCut ? cutStart(before) : before, isChanged: false },
      { text: words.slice(start, words.length - end).join(""), isChanged: true },
      { text: isCut ? cutEnd(after) : after, isChanged: false },
    ].filter(({ text }) => text !== "");
  return { one: partsOf(ones), other: partsOf(others), isCut };
}

function wordsOf(text: string): string[] {
  return text.match(/\s+|[^\s]+/g) ?? [];
}

function cutStart(text: string): string {
  return text.length > CONTEXT ? `…${text.slice(-CONTEXT)}` : text;
}

function cutEnd(text: string): string {
  return text.length > CONTEXT ? `${text.slice(0, CONTEXT)}…` : text;
}
