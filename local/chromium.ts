/**
 * Finds a Chromium and starts it.
 *
 * @module
 */

import { type Browser, chromium } from "playwright-core";

/** Names by which systems install it, the most open one first. */
const NAMES = [
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable",
];

/**
 * The path of a Chromium: `CHROMIUM_PATH`, or the first that is installed.
 *
 * @throws {Error} that says what to install where there is none.
 */
export async function findChromium(): Promise<string> {
  const given = Deno.env.get("CHROMIUM_PATH");
  if (given) return given;
  const folders = (Deno.env.get("PATH") ?? "").split(":").filter(Boolean);
  const paths = [
    ...NAMES.flatMap((name) => folders.map((folder) => `${folder}/${name}`)),
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  ];
  for (const path of paths) {
    try {
      if ((await Deno.stat(path)).isFile) return path;
    } catch { /* Not there. */ }
  }
  throw new Error(
    "There is no Chromium on this machine. Install it (apt-get install chromium), " +
      "or set CHROMIUM_PATH to the path of a Chromium or Chrome.",
  );
}

/** Starts a browser without a window. */
export async function launchChromium(): Promise<Browser> {
  return await chromium.launch({
    executablePath: await findChromium(),
    // Root may not use the sandbox, and in a container nobody can; the pages are our own.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--lang=en-GB"],
  });
}
