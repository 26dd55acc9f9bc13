/**
 * `deno task workspace:export`: reads the command line and prints; export_run.ts and remove_run.ts do the work. Prints no
 * names, numbers or texts of customers.
 *
 * @module
 */

import { print, printError, runCommand } from "../command.ts";
import { usageError } from "../command_error.ts";
import { createProgress } from "../import/progress.ts";
import { notEmpty, readArguments, wholeNumber } from "../options.ts";
import { openDatabase } from "./database.ts";
import {
  exportWorkspace,
  findWorkspace,
  measureWorkspace,
  type Outline,
  pauseWorkspace,
  resumeWorkspace,
  type Workspace,
} from "./export_run.ts";
import { readManifest, readReceipt } from "./manifest.ts";
import { removeWorkspace } from "./remove_run.ts";
import { byteText, printTable } from "./report.ts";

const HELP = `Exports a workspace into a folder, to move it to another project.

  deno task workspace:export <slug> --dry-run
  deno task workspace:export <slug> --folder <folder> --pause
  deno task workspace:export <slug> --resume
  deno task workspace:export <slug> --folder <folder> --remove

  --folder <folder>       where the export goes; one folder per workspace
  --dry-run               print what would be moved, and write nothing
  --pause                 pause the workspace first: bridges and webhooks get 429 and send again, members only
                          read, agents wait. It stays paused until --resume or --remove
  --settle-seconds <n>    how long a function may still store what it accepted before the pause; 150, as long as
                          a hosted function runs
  --resume                end the pause: the move is given up
  --remove                delete the workspace here, after deno task workspace:import has verified it there
  --chunk-rows <n>        conversations, people and so on per file; 1000
  --help

Environment:
  SOURCE_DATABASE_URL     connection string of the database, as postgres

Run it again if it was stopped: files whose rows are still the same stay. The folder holds what customers wrote;
secrets of connections in it are encrypted with the CREDENTIALS_KEY of the source. docs/moving-workspaces.md has
the steps of a move.
`;

async function main(args: string[]): Promise<number> {
  const { values, positionals } = readArguments({
    args,
    allowPositionals: true,
    options: {
      "chunk-rows": { type: "string" },
      "dry-run": { type: "boolean" },
      folder: { type: "string" },
      help: { type: "boolean", short: "h" },
      pause: { type: "boolean" },
      remove: { type: "boolean" },
      resume: { type: "boolean" },
      "settle-seconds": { type: "string" },
    },
  });
  if (values.help) {
    print(HELP);
    return 0;
  }
  const [slug, ...others] = positionals;
  if (slug === undefined || others.length > 0) throw usageError("Give the slug of one workspace.");
  const modes = [values["dry-run"], values.pause, values.resume, values.remove].filter(Boolean);
  if (modes.length > 1) throw usageError("Give one of --dry-run, --pause, --resume and --remove.");
  const rowsPerChunk = wholeNumber(values["chunk-rows"] ?? "1000", "chunk-rows", { min: 1 });
  const settleSeconds = wholeNumber(values["settle-seconds"] ?? "150", "settle-seconds", {
    min: 0,
  });
  const needsFolder = !values["dry-run"] && !values.resume;
  if (needsFolder && values.folder === undefined) {
    throw usageError("Give a folder: --folder <folder>.");
  }
  const folder = needsFolder ? notEmpty(values.folder!, "folder") : "";

  const sql = openDatabase(Deno.env.toObject(), "SOURCE_DATABASE_URL");
  const progress = createProgress(Deno.stderr.isTerminal(), printError, "rows");
  try {
    const workspace = await findWorkspace(sql, slug);
    if (values["dry-run"]) {
      const { sizes, outline } = await measureWorkspace(sql, workspace);
      printTable(sizes.map(({ name, rows, bytes }) => [name, rows, byteText(bytes)]));
      print(outlineText(outline, workspace));
    } else if (values.resume) {
      await resumeWorkspace(sql, workspace);
      print(`${slug} is no longer paused.\n`);
    } else if (values.remove) {
      const receipt = await readReceipt(folder);
      await removeWorkspace(sql, {
        workspace,
        manifest: await readManifest(folder),
        receipt,
        progress,
      });
      progress.stop();
      print(`${slug} was verified at ${receipt!.target}, and is removed here.\n`);
    } else {
      if (values.pause) {
        printError(`Pausing ${slug}, and waiting for what is still being stored.\n`);
        await pauseWorkspace(sql, workspace, settleSeconds);
      }
      const { manifest, outline, chunksKept } = await exportWorkspace(sql, {
        workspace,
        folder,
        rowsPerChunk,
        progress,
      });
      progress.stop();
      const rows = manifest.chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
      const bytes = manifest.chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
      print(
        `${rows} rows in ${manifest.chunks.length} chunks, ${byteText(bytes)} compressed; ` +
          `${chunksKept} chunks were there already.\n`,
      );
      print(outlineText(outline, { ...workspace, pause: manifest.pause }));
    }
    return 0;
  } finally {
    progress.stop();
    await sql.end({ timeout: 1 });
  }
}

function outlineText(outline: Outline, { pause }: Workspace): string {
  return [
    pause === null &&
    "The workspace is not paused: what is written to it from now on is missing. Only an export with --pause can be imported.",
    outline.mediaFiles > 0 &&
    `${outline.mediaFiles} files are in Storage. workspace:import --files copies them; otherwise they cannot be opened ` +
      "in the target.",
    outline.waitingEvents > 0 &&
    `${outline.waitingEvents} webhook events of its numbers wait or have failed, and stay behind. Replay them first, or ` +
      "repair at the target.",
    outline.sealedConnections > 0 &&
    `${outline.sealedConnections} connections have secrets under CREDENTIALS_KEY: workspace:import needs both keys.`,
  ].filter((line) => line !== false).map((line) => `${line}\n`).join("");
}

if (import.meta.main) await runCommand("deno task workspace:export", main);
