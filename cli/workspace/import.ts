/**
 * `deno task workspace:import`: reads the command line and prints; import_run.ts does the work. Prints e-mails of members
 * that the target does not have, and no names, numbers or texts of customers.
 *
 * @module
 */

import { print, printError, runCommand } from "../command.ts";
import { CommandError, usageError } from "../command_error.ts";
import { createProgress } from "../import/progress.ts";
import { oneOf, readArguments } from "../options.ts";
import { hostOf, openDatabase } from "./database.ts";
import { type CopiedFiles, copyFiles, openStorages } from "./files_run.ts";
import { discardImport, importWorkspace } from "./import_run.ts";
import { exportIdOf, readManifest, readReceipt, writeReceipt } from "./manifest.ts";
import { findObstacles } from "./obstacles.ts";
import { byteText, printTable } from "./report.ts";
import { resealSecrets } from "./secrets.ts";
import { describeMissing, matchUsers } from "./users.ts";

const HELP = `Imports a workspace from the folder of deno task workspace:export.

  deno task workspace:import <folder> [--dry-run] [--files] [--missing-users refuse|omit]
  deno task workspace:import <folder> --discard

  --dry-run               print what would be stored and what stands in the way, and store nothing
  --files                 copy the files of messages from Storage to Storage as well
  --missing-users <what>  refuse (the default): every user that rows name must have an account in the target, with
                          the same e-mail. omit: members without one are left out, and their notes, assignments
                          and so on name no one
  --discard               remove what an import that was cut off has stored
  --help

Environment:
  TARGET_DATABASE_URL     connection string of the database, as postgres
  SOURCE_CREDENTIALS_KEY, TARGET_CREDENTIALS_KEY
                          the CREDENTIALS_KEY of both projects, if connections have secrets of Kapso
  SOURCE_SUPABASE_URL, SOURCE_SUPABASE_SECRET_KEY, TARGET_SUPABASE_URL, TARGET_SUPABASE_SECRET_KEY
                          both projects, for --files

Nothing of the workspace can be seen or used before everything is stored and verified. Run it again if it was
stopped: it continues.
`;

async function main(args: string[]): Promise<number> {
  const { values, positionals } = readArguments({
    args,
    allowPositionals: true,
    options: {
      discard: { type: "boolean" },
      "dry-run": { type: "boolean" },
      files: { type: "boolean" },
      help: { type: "boolean", short: "h" },
      "missing-users": { type: "string" },
    },
  });
  if (values.help) {
    print(HELP);
    return 0;
  }
  const [folder, ...others] = positionals;
  if (folder === undefined || others.length > 0) throw usageError("Give the folder of one export.");
  const missingUsers = oneOf(values["missing-users"] ?? "refuse", "missing-users", [
    "refuse",
    "omit",
  ]);
  const env = Deno.env.toObject();
  const manifest = await readManifest(folder);
  const { workspace, chunks } = manifest;
  const storages = values.files ? await openStorages(env) : undefined;

  const sql = openDatabase(env, "TARGET_DATABASE_URL");
  const progress = createProgress(Deno.stderr.isTerminal(), printError, "rows");
  try {
    if (values.discard) {
      const rows = await discardImport(sql, manifest, progress);
      progress.stop();
      print(`${rows} rows of the import that was cut off are removed.\n`);
      return 0;
    }
    const users = await matchUsers(sql, manifest);
    const obstacles = await findObstacles(sql, manifest, users, missingUsers === "omit");
    if (values["dry-run"]) {
      const byTable = [...Map.groupBy(chunks, ({ table }) => table)];
      printTable(byTable.map(([name, own]) => [
        name,
        own.reduce((sum, { rows }) => sum + rows, 0),
        `${byteText(own.reduce((sum, { bytes }) => sum + bytes, 0))} compressed`,
      ]));
      if (missingUsers === "omit") {
        users.missing.forEach((user) => print(`Without an account: ${describeMissing(user)}\n`));
      }
      print(obstacles.length === 0 ? "Nothing stands in the way.\n" : `${obstacles.join("\n")}\n`);
      return obstacles.length === 0 ? 0 : 1;
    }
    const exportId = exportIdOf(manifest);
    const receipt = await readReceipt(folder);
    if (storages && receipt?.exportId === exportId) {
      const files = await copyFiles(sql, workspace.id, storages, progress);
      await writeReceipt(folder, { ...receipt, areFilesMoved: true });
      progress.stop();
      print(filesText(files));
      return 0;
    }
    if (obstacles.length > 0) throw new CommandError(obstacles.join("\n"));
    const secrets = await resealSecrets(sql, folder, manifest, env);
    let files: CopiedFiles | undefined;
    const verified = await importWorkspace(sql, {
      manifest,
      folder,
      users,
      secrets,
      progress,
      beforeLast: async () => {
        if (!storages) return;
        const ofFiles = createProgress(false, printError, "files");
        files = await copyFiles(sql, workspace.id, storages, ofFiles);
        ofFiles.stop();
      },
    });
    progress.stop();
    await writeReceipt(folder, {
      exportId,
      target: hostOf(sql),
      areFilesMoved: files !== undefined || manifest.mediaFiles === 0,
    });
    printTable(verified.map(({ name, rows, omitted, isDigestCompared }) => [
      name,
      rows,
      isDigestCompared ? "verified" : `number verified; ${omitted} left out`,
    ]));
    print(
      `${workspace.slug} is in the target, and its connections are active there. The schedule makes the search index.\n`,
    );
    if (files) print(filesText(files));
    else if (manifest.mediaFiles > 0) {
      print(
        `${manifest.mediaFiles} files stay in the Storage of the source and cannot be opened in the target. Run the ` +
          "command once more with --files.\n",
      );
    }
    return 0;
  } finally {
    progress.stop();
    await sql.end({ timeout: 1 });
  }
}

function filesText({ copied, known, gone }: CopiedFiles): string {
  return `${copied} files copied, ${known} were there already` +
    `${gone === 0 ? "" : `, ${gone} are missing in the source`}.\n`;
}

if (import.meta.main) await runCommand("deno task workspace:import", main);
