/**
 * `deno task release:notes v0.1.0`: prints the changelog section of a release, for the GitHub release.
 * Ends with code 1 when the tag does not match the version in deno.json or the section is incomplete.
 *
 * @module
 */
import project from "../../deno.json" with { type: "json" };
import { print, runCommand } from "../command.ts";
import { releaseNotes } from "./changelog.ts";

await runCommand("deno task release:notes", async ([tag = ""]) => {
  const changelog = await Deno.readTextFile(new URL("../../CHANGELOG.md", import.meta.url));
  print(`${releaseNotes(tag, project.version, changelog)}\n`);
  return 0;
});
