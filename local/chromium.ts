/**
 * Finds a Chromium and starts it.
 *
 * @module
 */

import { type Browser, chromium } from "playwright-core";

/** Names under which systems install it, in order of preference: the shell alone takes little more than half the time. */
const NAMES = [
  "chromium-headless-shell",
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable",
];

/**
 * Finds the path of a Chromium: `CHROMIUM_PATH`, or the first that is installed.
 *
 * @throws {Error} that says what to install, if there is none.
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
    "No Chromium found. Install it (apt-get install chromium), " +
      "or set CHROMIUM_PATH to the path of a Chromium or Chrome.",
  );
}

/** Starts a browser without a window. */
export async function launchChromium(): Promise<Browser> {
  return await chromium.launch({
    executablePath: await findChromium(),
    // Root and containers cannot use the sandbox, and the pages are those of this project.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--lang=en-GB"],
  });
}
