/**
 * `deno task release:notes v0.1.0`: prints the changelog section of a release, for the GitHub release.
 * Exits with code 1 when the tag does not match the version in deno.json or the section is incomplete.
 *
 * @module
 */
import project from "../../deno.json" with { type: "json" };
import { Problem } from "../usage_error.ts";
import { releaseNotes } from "./changelog.ts";

const [tag = ""] = Deno.args;
const changelog = await Deno.readTextFile(new URL("../../CHANGELOG.md", import.meta.url));
try {
  const notes = releaseNotes(tag, project.version, changelog);
  await Deno.stdout.write(new TextEncoder().encode(`${notes}\n`));
} catch (error) {
  if (!(error instanceof Problem)) throw error;
  await Deno.stderr.write(new TextEncoder().encode(`${error.message}\n`));
  Deno.exitCode = 1;
}
