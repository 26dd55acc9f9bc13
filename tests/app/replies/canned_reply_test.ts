/**
 * Canned replies: what is found by what was typed, and the name of the contact in the text.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { fillIn, findReplies } from "../../../app/src/replies/canned_reply.ts";

const replies = [
  { id: "1", shortcut: "pay", title: "How to pay", content: "By card." },
  { id: "2", shortcut: "Hours", title: "Opening hours", content: "From nine." },
  { id: "3", shortcut: "hello", title: "Greeting", content: "Hi" },
  { id: "4", shortcut: "later", title: "Hold on", content: "One moment" },
];

Deno.test("replies whose shortcut begins with what was typed come first", () => {
  const found = (typed: string) => findReplies(replies, typed).map(({ shortcut }) => shortcut);
  assertEquals(found(""), ["hello", "later", "pay", "Hours"]);
  assertEquals(found("h"), ["hello", "Hours", "later", "pay"]);
  assertEquals(found("HOUR"), ["Hours"]);
  assertEquals(found("opening hours"), ["Hours"]);
  assertEquals(found("xyz"), []);
});

Deno.test("the name is filled in, and nothing is left where there is none", () => {
  assertEquals(
    fillIn("Hello {{name}}, dear {{ NAME }}!", "Rita $1"),
    "Hello Rita $1, dear Rita $1!",
  );
  assertEquals(fillIn("Hello {{name}}, how are you?", null), "Hello, how are you?");
  assertEquals(fillIn("{{name}}: {{other}}", ""), ": {{other}}");
});
