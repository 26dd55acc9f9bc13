/**
 * The changelog, and the release notes that release.yml takes from it.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import project from "../../../deno.json" with { type: "json" };
import { CommandError } from "../../../cli/command_error.ts";
import { readRelease, releaseNotes } from "../../../cli/release/changelog.ts";

const CHANGELOG = `# Changelog

## [Unreleased]

### Added

- Something new.

## [1.2.0] - 2026-03-02

### Fixed

- A bug, see [1.1.0].

## [1.1.0] - unreleased

### Added

- A feature.

## [1.0.0] - 2026-01-01
`;

Deno.test("a release gets its own section of the changelog", () => {
  assertEquals(releaseNotes("v1.2.0", "1.2.0", CHANGELOG), "### Fixed\n\n- A bug, see [1.1.0].");
  assertEquals(readRelease(CHANGELOG, "Unreleased"), {
    date: "unreleased",
    notes: "### Added\n\n- Something new.",
  });
});

Deno.test("a release without matching version, section, date or notes is refused", () => {
  const refused: [tag: string, version: string, message: string][] = [
    ["v1.2.0", "1.3.0", "The tag is v1.2.0, but deno.json has version 1.3.0."],
    ["1.2.0", "1.2.0", "The tag is 1.2.0, but deno.json has version 1.2.0."],
    ["v1.3.0", "1.3.0", 'has no section "## [1.3.0] - <date>"'],
    ["v1.1.0", "1.1.0", 'Write "## [1.1.0] - YYYY-MM-DD"'],
    ["v1.0.0", "1.0.0", "says nothing about 1.0.0"],
  ];
  for (const [tag, version, message] of refused) {
    assertThrows(() => releaseNotes(tag, version, CHANGELOG), CommandError, message);
  }
});

Deno.test("CHANGELOG.md is in the form of Keep a Changelog", async () => {
  const text = await Deno.readTextFile(new URL("../../../CHANGELOG.md", import.meta.url));
  const versions = [...text.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading!);
  assertEquals(versions[0], "[Unreleased]");
  for (const heading of versions.slice(1)) {
    assert(/^\[\d+\.\d+\.\d+\] - (unreleased|\d{4}-\d{2}-\d{2})$/.test(heading), heading);
  }
  for (const [, group] of text.matchAll(/^### (.*)$/gm)) {
    assert(["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"].includes(group!));
  }
  assert(readRelease(text, project.version), `a section for ${project.version} is missing`);
});
