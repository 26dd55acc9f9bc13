/**
 * Which module imports which, as Deno reads it.
 *
 * @module
 */

import { ROOT, trackedFiles } from "./tracked_files.ts";

/**
 * Each module of the repository, with what it imports: paths below the repository's folder, and
 * packages by the name in the import. Imports of types and dynamic imports are included.
 */
export type ModuleGraph = ReadonlyMap<string, readonly string[]>;

interface Resolution {
  specifier?: string;
}

interface DenoInfo {
  modules: {
    specifier: string;
    dependencies?: { specifier: string; code?: Resolution; type?: Resolution }[];
  }[];
}

/** Reads the graph of all modules with one call of `deno info`. */
export async function readModuleGraph(): Promise<ModuleGraph> {
  const modules = (await trackedFiles(["*.ts", "*.tsx"]))
    .filter((path) => !path.includes("/fixtures/"));
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const imports = modules.map((path) => `import "${new URL(path, ROOT)}";`);
    await Deno.writeTextFile(entry, imports.join("\n"));
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--no-npm", "--no-lock", "--config", "deno.json", entry],
      cwd: ROOT,
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return toGraph(JSON.parse(new TextDecoder().decode(stdout)));
  } finally {
    await Deno.remove(entry);
  }
}

function toGraph({ modules }: DenoInfo): ModuleGraph {
  const graph = new Map<string, readonly string[]>();
  for (const { specifier, dependencies = [] } of modules) {
    if (!specifier.startsWith(ROOT.href)) continue;
    const imports = dependencies.flatMap(({ specifier: written, code, type }) => {
      const resolved = [code, type].flatMap((resolution) => resolution?.specifier ?? []);
      return (resolved.length === 0 ? [written] : resolved)
        .map((to) => to.startsWith(ROOT.href) ? to.slice(ROOT.href.length) : written);
    });
    graph.set(specifier.slice(ROOT.href.length), [...new Set(imports)]);
  }
  return graph;
}

/**
 * Finds import cycles: one for every group of modules that all reach each other.
 *
 * @returns The modules of each cycle in the order of their imports; the first is repeated at the end.
 */
export function findCycles(graph: ModuleGraph): string[][] {
  const cycles: string[][] = [];
  const isInCycle = new Set<string>();
  for (const start of [...graph.keys()].sort()) {
    if (isInCycle.has(start)) continue;
    const cycle = shortestPathBack(graph, start);
    if (cycle === undefined) continue;
    cycles.push(cycle);
    for (const module of cycle) isInCycle.add(module);
  }
  return cycles;
}

/** The shortest way from a module through its imports back to itself. */
function shortestPathBack(graph: ModuleGraph, start: string): string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (const module of queue) {
    for (const next of graph.get(module) ?? []) {
      if (next === start) {
        const path = [start];
        for (let at = module; at !== start; at = cameFrom.get(at)!) path.unshift(at);
        return [start, ...path];
      }
      if (cameFrom.has(next) || !graph.has(next)) continue;
      cameFrom.set(next, module);
      queue.push(next);
    }
  }
  return undefined;
}
