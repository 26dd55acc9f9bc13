/**
 * The rules of the layout: which part of the repository may import which.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { findCycles, type ModuleGraph, readModuleGraph } from "./support/module_graph.ts";

/**
 * The layers of the app, the lowest first: a module imports from its own folder and from lower layers.
 * Folders of one layer do not import from each other.
 */
const APP_LAYERS: readonly (readonly string[])[] = [
  ["texts.ts", "config.ts", "pages.ts", "styles"],
  ["api"],
  ["format.ts"],
  ["ui"],
  ["session"],
  ["workspace"],
  ["conversations"],
  ["outbox", "connections", "replies", "tags", "summaries", "overview", "health"],
  ["contact", "thread", "composer", "workflows", "search"],
  ["inbox"],
  ["shell"],
  ["app.tsx"],
  ["main.tsx"],
];

const FUNCTIONS = "supabase/functions/";
const CONTRACTS = "supabase/functions/_shared/contracts/";
const DATABASE_TYPES = "supabase/functions/_shared/database/database.types.ts";
const APP = "app/src/";

/** Everything in a graph that breaks a rule, as sentences. */
function findViolations(graph: ModuleGraph): string[] {
  const violations = findCycles(graph).map((cycle) => `import cycle: ${cycle.join(" → ")}`);
  for (const [from, imports] of graph) {
    for (const to of imports) {
      const rule = brokenRule(from, to);
      if (rule !== undefined) violations.push(`${from} imports ${to}: ${rule}`);
    }
  }
  return violations;
}

function brokenRule(from: string, to: string): string | undefined {
  if (to.startsWith("tests/") && !from.startsWith("tests/")) {
    return "nothing outside tests/ imports from tests/";
  }
  if (from.startsWith(CONTRACTS)) {
    // Luxon reads the ISO 8601 times that bridges send; it does no I/O either.
    return to === "zod" || to === "luxon" || to.startsWith(CONTRACTS)
      ? undefined
      : "contracts import only zod, luxon and each other";
  }
  // A package is no path of the repository, and free to use.
  if (from.startsWith(FUNCTIONS) && to.includes("/") && isModule(to)) {
    const isAllowed = to.startsWith(`${FUNCTIONS}_shared/`) || to.startsWith(folderOf(from));
    return isAllowed ? undefined : "a function imports only its own folder and _shared";
  }
  if (from.startsWith(APP) && to.startsWith(APP)) return brokenLayer(from, to);
  if (from.startsWith(APP) && to.startsWith("supabase/")) {
    const isAllowed = to.startsWith(CONTRACTS) || to === DATABASE_TYPES;
    return isAllowed ? undefined : "the app imports only contracts and the types of the database";
  }
  return undefined;
}

function brokenLayer(from: string, to: string): string | undefined {
  const [above, below] = [from, to].map((path) => path.slice(APP.length).split("/")[0]!) as [
    string,
    string,
  ];
  if (above === below) return undefined;
  const [high, low] = [above, below].map((name) =>
    APP_LAYERS.findIndex((layer) => layer.includes(name))
  ) as [number, number];
  if (high < 0 || low < 0) return `${high < 0 ? above : below} has no place in APP_LAYERS`;
  return low < high ? undefined : `${below} is not in a layer below ${above}`;
}

/** The folder of a function, or of `_shared`. */
function folderOf(path: string): string {
  return `${path.split("/").slice(0, 3).join("/")}/`;
}

function isModule(path: string): boolean {
  return /\.(?:tsx?|json)$/.test(path);
}

Deno.test("the modules keep the rules of the layout", async () => {
  const graph = await readModuleGraph();
  assertEquals(["app/src/main.tsx", "local/main.ts"].filter((path) => !graph.has(path)), []);
  assertEquals(findViolations(graph), []);
});

Deno.test("a violation of each rule is found", () => {
  const found = (graph: Record<string, string[]>) => findViolations(new Map(Object.entries(graph)));
  assertEquals(
    found({ "cli/a.ts": ["local/b.ts"], "local/b.ts": ["local/c.ts"], "local/c.ts": ["cli/a.ts"] }),
    ["import cycle: cli/a.ts → local/b.ts → local/c.ts → cli/a.ts"],
  );
  assertEquals(
    found({
      "cli/a.ts": ["tests/support/b.ts"],
      "tests/support/b.ts": ["tests/support/c.ts", "cli/d.ts"],
    }),
    ["cli/a.ts imports tests/support/b.ts: nothing outside tests/ imports from tests/"],
  );
  assertEquals(
    found({
      "supabase/functions/inbox/index.ts": [
        "hono",
        "supabase/functions/inbox/handler.ts",
        "supabase/functions/_shared/http/app.ts",
        "supabase/functions/kapso-sync/schema.ts",
      ],
      "supabase/functions/_shared/http/app.ts": ["supabase/functions/inbox/schema.ts", "cli/a.ts"],
    }),
    [
      "supabase/functions/inbox/index.ts imports supabase/functions/kapso-sync/schema.ts: " +
      "a function imports only its own folder and _shared",
      "supabase/functions/_shared/http/app.ts imports supabase/functions/inbox/schema.ts: " +
      "a function imports only its own folder and _shared",
      "supabase/functions/_shared/http/app.ts imports cli/a.ts: " +
      "a function imports only its own folder and _shared",
    ],
  );
  assertEquals(
    found({
      "supabase/functions/_shared/contracts/message.ts": [
        "zod",
        "supabase/functions/_shared/contracts/text.ts",
        "hono",
        "supabase/functions/_shared/http/log.ts",
      ],
    }),
    [
      "supabase/functions/_shared/contracts/message.ts imports hono: " +
      "contracts import only zod, luxon and each other",
      "supabase/functions/_shared/contracts/message.ts imports " +
      "supabase/functions/_shared/http/log.ts: contracts import only zod, luxon and each other",
    ],
  );
  assertEquals(
    found({
      "app/src/ui/button.tsx": ["react", "app/src/texts.ts", "app/src/inbox/filters.ts"],
      "app/src/tags/tag_menu.tsx": ["app/src/replies/canned_reply.ts", "app/src/tags/use_tags.ts"],
      "app/src/newcomer/page.tsx": ["app/src/ui/button.tsx"],
      "app/src/api/types.ts": [
        "supabase/functions/_shared/contracts/message.ts",
        "supabase/functions/inbox/schema.ts",
      ],
    }),
    [
      "app/src/ui/button.tsx imports app/src/inbox/filters.ts: inbox is not in a layer below ui",
      "app/src/tags/tag_menu.tsx imports app/src/replies/canned_reply.ts: " +
      "replies is not in a layer below tags",
      "app/src/newcomer/page.tsx imports app/src/ui/button.tsx: " +
      "newcomer has no place in APP_LAYERS",
      "app/src/api/types.ts imports supabase/functions/inbox/schema.ts: " +
      "the app imports only contracts and the types of the database",
    ],
  );
});
