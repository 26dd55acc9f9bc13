/**
 * The files of the repository.
 *
 * @module
 */

/** The repository's folder, with a slash at its end. */
export const ROOT = new URL("../../", import.meta.url);

/**
 * Lists the files that Git tracks or would track, as paths below the repository's folder.
 *
 * @param patterns Git pathspecs, such as `*.ts`; without them, every file.
 */
export async function trackedFiles(patterns: readonly string[] = []): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command("git", {
    args: ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ...patterns],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const paths = new TextDecoder().decode(stdout).split("\0").filter((path) => path !== "");
  // Git still lists a file that was deleted and not yet committed.
  return paths.filter((path) => {
    try {
      return Deno.statSync(new URL(path, ROOT)).isFile;
    } catch {
      return false;
    }
  });
}
