/**
 * The links of all Markdown pages: files and headings they name exist. Links to other sites are not followed.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { dirname, join, relative } from "node:path";

const ROOT = join(import.meta.dirname!, "../..");
const SKIPPED = new Set([".git", ".local", "node_modules", "dist"]);

Deno.test("every relative link of a Markdown page leads to a file, and its anchor to a heading", async () => {
  const pages = new Map<string, string>();
  for await (const path of markdownFiles(ROOT)) pages.set(path, await Deno.readTextFile(path));
  assert(pages.size > 20);
  const faults: string[] = [];
  for (const [path, text] of pages) {
    for (const target of linkTargets(text)) {
      if (/^[a-z][a-z+.-]*:/i.test(target)) continue;
      const [file, anchor] = target.split("#");
      const page = file === "" ? path : join(dirname(path), decodeURIComponent(file!));
      if (!await exists(page)) faults.push(`${relative(ROOT, path)}: ${target} does not exist`);
      else if (anchor !== undefined) {
        const headings = headingAnchors(pages.get(page) ?? "");
        if (!headings.has(anchor)) {
          faults.push(`${relative(ROOT, path)}: ${target} is not a heading`);
        }
      }
    }
  }
  assertEquals(faults, []);
});

Deno.test("every page below docs/ is linked from docs/index.md", async () => {
  const docs = join(ROOT, "docs");
  const listed = new Set(
    linkTargets(await Deno.readTextFile(join(docs, "index.md")))
      .map((target) => join(docs, target.split("#")[0]!)),
  );
  const missing: string[] = [];
  for await (const path of markdownFiles(docs)) {
    const name = relative(docs, path);
    // The records have an index of their own, docs/adr/README.md.
    if (name !== "index.md" && !/^adr\/(?!README)/.test(name) && !listed.has(path)) {
      missing.push(name);
    }
  }
  assertEquals(missing, []);
});

async function* markdownFiles(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory && !SKIPPED.has(entry.name)) yield* markdownFiles(path);
    else if (entry.name.endsWith(".md")) yield path;
  }
}

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

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
