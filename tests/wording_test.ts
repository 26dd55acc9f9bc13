/**
 * The words that docs/writing.md bans occur in no text of the repository.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { ROOT, trackedFiles } from "./support/tracked_files.ts";

const WRITING = "docs/writing.md";

/** Files whose words are not those of the project, or that list the banned words themselves. */
const LEFT_OUT = [
  WRITING,
  "LICENSE",
  "/fixtures/",
  /\.lock$/,
  /\.(?:png|svg|ico|zip)$/,
  "bench/results.json",
  "supabase/functions/_shared/openapi.json",
];

/** Reads the list: a code block with the info string `banned-words`, one word or phrase a line. */
function readBannedWords(page: string): string[] {
  const list = /^```banned-words\n(.*?)\n```$/ms.exec(page)?.[1] ?? "";
  return list.split("\n").map((line) => line.trim()).filter((line) => line !== "");
}

/** Finds banned words in a text: whole words in any letter case, also across a line break of a comment. */
function findBanned(text: string, words: readonly string[]): { line: number; word: string }[] {
  // Between the words of a phrase there may be a line break and the marks that begin a comment's line.
  const gap = String.raw`(?:[ \t]+|[ \t]*\n[ \t]*(?://|\*|--|#|>)?[ \t]*)`;
  const patterns = words.map((word) => word.split(/\s+/).map(escape).join(gap));
  const pattern = new RegExp(
    String.raw`(?<![\p{L}\p{N}])(?:${patterns.join("|")})(?![\p{L}\p{N}])`,
    "giu",
  );
  return [...text.matchAll(pattern)].map((match) => ({
    line: text.slice(0, match.index).split("\n").length,
    word: match[0],
  }));
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function isLeftOut(path: string): boolean {
  return LEFT_OUT.some((part) =>
    typeof part === "string" ? `/${path}`.includes(part) : part.test(path)
  );
}

Deno.test("no text has a banned word", async () => {
  const words = readBannedWords(await Deno.readTextFile(new URL(WRITING, ROOT)));
  assert(words.length > 0, `${WRITING} has no list of banned words`);
  const paths = (await trackedFiles()).filter((path) => !isLeftOut(path));
  assert(paths.includes("README.md"));
  const found: string[] = [];
  for (const path of paths) {
    const text = await Deno.readTextFile(new URL(path, ROOT));
    for (const { line, word } of findBanned(text, words)) found.push(`${path}:${line}: ${word}`);
  }
  assertEquals(found, []);
});

Deno.test("a banned word is found in each kind of text", () => {
  const words = ["zebra", "two words"];
  const texts = ["// zebra", "/** Zebra. */", `"zebra's"`, "-- ZEBRA", "| zebra |", "a_zebra"];
  for (const text of texts) assertEquals(findBanned(text, words).length, 1, text);
  assertEquals(
    findBanned("// two\n  // words\n * two\n * words, two  words", words).map(({ word }) => word),
    ["two\n  // words", "two\n * words", "two  words"],
  );
  assertEquals(findBanned("zebras, twowords, also two wordsmiths", words), []);
  assertEquals(findBanned("a\nb zebra", words), [{ line: 2, word: "zebra" }]);
});
