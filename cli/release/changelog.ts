/**
 * Reads CHANGELOG.md, which has the form of https://keepachangelog.com.
 *
 * @module
 */

import { CommandError } from "../command_error.ts";

/** The section of one version. */
export interface Release {
  /** The day of the release, `YYYY-MM-DD`, or `unreleased`. */
  readonly date: string;
  /** What changed, in Markdown, without the heading. */
  readonly notes: string;
}

/**
 * Returns the section of a version.
 *
 * @param changelog The text of CHANGELOG.md.
 * @param version A version without `v`, such as `0.1.0`.
 * @returns undefined where the changelog has no such section.
 */
export function readRelease(changelog: string, version: string): Release | undefined {
  const headings = [...changelog.matchAll(/^## \[(?<version>[^\]]+)\](?: - (?<date>\S+))?$/gm)];
  const index = headings.findIndex(({ groups }) => groups!.version === version);
  const heading = headings[index];
  if (heading === undefined) return undefined;
  const end = headings[index + 1]?.index ?? changelog.length;
  return {
    date: heading.groups!.date ?? "unreleased",
    notes: changelog.slice(heading.index + heading[0].length, end).trim(),
  };
}

/**
 * Returns the notes of the release that a tag names.
 *
 * @param tag The tag, such as `v0.1.0`.
 * @param version The version of the project, as deno.json has it.
 * @throws {CommandError} when tag and version differ, or the changelog has no dated section with notes for it.
 */
export function releaseNotes(tag: string, version: string, changelog: string): string {
  if (tag !== `v${version}`) {
    throw new CommandError(`The tag is ${tag}, but deno.json has version ${version}.`);
  }
  const release = readRelease(changelog, version);
  if (release === undefined) {
    throw new CommandError(`CHANGELOG.md has no section "## [${version}] - <date>".`);
  }
  if (!/^\d{4}-\d{2}-\d{2}$/.test(release.date)) {
    throw new CommandError(
      `CHANGELOG.md gives ${version} no date. Write "## [${version}] - YYYY-MM-DD".`,
    );
  }
  if (release.notes === "") throw new CommandError(`CHANGELOG.md says nothing about ${version}.`);
  return release.notes;
}
