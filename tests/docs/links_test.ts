/**
 * The links of all Markdown pages: files and headings they name exist. Links to other sites are not followed.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { dirname, normalize } from "node:path/posix";
import { trackedFiles } from "../support/tracked_files.ts";

const ROOT = join(import.meta.dirname!, "../..");
const files = new Set(await trackedFiles());
const pages = new Map(
  await Promise.all(
    [...files].filter((file) => file.endsWith(".md"))
      .map(async (file) => [file, await Deno.readTextFile(join(ROOT, file))] as const),
  ),
);

Deno.test("every relative link of a Markdown page leads to a file, and its anchor to a heading", () => {
  const faults: string[] = [];
  for (const [page, text] of pages) {
    for (const link of linkTargets(text)) {
      if (/^[a-z][a-z+.-]*:/i.test(link)) continue;
      const [path, anchor] = link.split("#");
      const target = path === "" ? page : normalize(join(dirname(page), decodeURIComponent(path!)));
      if (!exists(target)) faults.push(`${page}: ${link} does not exist`);
      else if (anchor !== undefined && !headingAnchors(pages.get(target) ?? "").has(anchor)) {
        faults.push(`${page}: ${link} is not a heading`);
      }
    }
  }
  assertEquals(faults, []);
});

Deno.test("docs/index.md links every page of docs/", () => {
  const listed = new Set(
    linkTargets(pages.get("docs/index.md")!).map((link) => normalize(join("docs", link))),
  );
  // The decision records have an index of their own, docs/adr/README.md.
  const missing = [...pages.keys()].filter((page) =>
    page.startsWith("docs/") && page !== "docs/index.md" && !/^docs\/adr\/(?!README)/.test(page) &&
    !listed.has(page)
  );
  assertEquals(missing, []);
});

/** Where the links and pictures of a page lead; code is left out. */
function linkTargets(text: string): string[] {
  return [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
}

/** The anchors GitHub makes of the headings of a page. */
function headingAnchors(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of text.replaceAll(/^```.*?^```$/gms, "").matchAll(/^#+ (.+)$/gm)) {
    const base = heading!.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").trim()
      .replaceAll(" ", "-");
    let anchor = base;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${base}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

function withoutCode(text: string): string {
  return text.replaceAll(/^```.*?^```$/gms, "").replaceAll(/`[^`\n]*`/g, "");
}

/** A tracked file, or a folder with one. */
function exists(path: string): boolean {
  const folder = path.endsWith("/") ? path : `${path}/`;
  return files.has(path) || [...files].some((file) => file.startsWith(folder));
}
