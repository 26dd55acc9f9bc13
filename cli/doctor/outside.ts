/**
 * The checks that only a caller from outside can do: functions and Auth.
 *
 * @module
 */

import * as z from "zod";
import { readRetryAfter, retry } from "../../supabase/functions/_shared/http/retry.ts";
import { settingCheck } from "../../supabase/functions/_shared/contracts/kapso_sync.ts";
import type { Check } from "./check.ts";

const settingsSchema = z.object({ checks: z.array(settingCheck) });

/** Attempts at a function whose gateway is busy, or could not start it in time. */
const ATTEMPTS = 4;
const BACKOFF_MS = 1_000;
const MAX_RETRY_AFTER_MS = 10_000;

/** The header of every answer of a function of this project. */
const VERSION_HEADER = "x-function-version";

/** Asks each function, without a key, for a path that does not exist. */
export async function checkFunctions(
  url: string,
  names: readonly string[],
  version: string,
): Promise<Check[]> {
  return await Promise.all(names.map((name) => checkFunction(url, name, version)));
}

async function checkFunction(url: string, name: string, version: string): Promise<Check> {
  const check = (status: Check["status"], found: string, what_to_do: string | null = null) => ({
    name: `function ${name}`,
    status,
    found,
    what_to_do,
  });
  const deploy = `Deploy it: supabase functions deploy ${name} --use-api.`;
  let response: Response;
  try {
    response = await callFunction(`${url}/functions/v1/${name}/doctor`);
    await response.body?.cancel();
  } catch {
    return check("problem", "Does not answer.", "Check the network, and the log of the function.");
  }
  const found = response.headers.get(VERSION_HEADER);
  if (found === version) return check("ok", `Answers; version ${found}.`);
  if (found !== null) {
    return check("warning", `Version ${found}; this checkout is ${version}.`, deploy);
  }
  // The gateway answered in its place.
  if (response.status === 401) {
    return check(
      "problem",
      "The gateway asks for a JWT: bridges, webhooks and the schedule are refused.",
      `Deploy it with supabase/config.toml, which sets verify_jwt = false: ${deploy}`,
    );
  }
  if (response.status === 404) {
    return check("problem", "Not deployed, or an older version.", deploy);
  }
  return check("problem", `Answers ${response.status} before its code runs.`, deploy);
}

/** A function that did not run: the gateway answered 503. */
class Unavailable extends Error {
  constructor(readonly response: Response) {
    super("unavailable");
  }
}

async function callFunction(
  address: string,
  headers: Record<string, string> = {},
): Promise<Response> {
  try {
    return await retry(async () => {
      const response = await fetch(address, { headers, signal: AbortSignal.timeout(20_000) });
      if (response.status !== 503) return response;
      await response.body?.cancel();
      throw new Unavailable(response);
    }, {
      attempts: ATTEMPTS,
      backoffMs: BACKOFF_MS,
      maxRetryAfterMs: MAX_RETRY_AFTER_MS,
      retryAfterOf: (error) =>
        error instanceof Unavailable
          ? readRetryAfter(error.response.headers.get("retry-after")) ?? 0
          : undefined,
    });
  } catch (error) {
    if (error instanceof Unavailable) return error.response;
    throw error;
  }
}

/** Asks the functions to check their settings, whose values no caller can read. */
export async function checkSettings(url: string, key: string): Promise<Check[]> {
  try {
    const response = await callFunction(`${url}/functions/v1/kapso-sync/settings`, {
      apikey: key,
    });
    if (response.ok) return settingsSchema.parse(await response.json()).checks;
    await response.body?.cancel();
  } catch {
    // Said below: the check of the function itself says why it does not answer.
  }
  return [{
    name: "settings of functions",
    status: "unknown",
    found: "kapso-sync does not check its settings.",
    what_to_do: "Deploy the functions of this checkout, then run the doctor again.",
  }];
}

/** Reads whether people may sign up. */
export async function checkSignUp(url: string, key: string): Promise<Check> {
  const name = "sign-up";
  const unknown: Check = {
    name,
    status: "unknown",
    found: "Auth does not tell its settings.",
    what_to_do: "Look in the project's settings of Auth whether people may sign up.",
  };
  try {
    const response = await fetch(`${url}/auth/v1/settings`, {
      headers: { apikey: key },
      signal: AbortSignal.timeout(20_000),
    });
    const settings: unknown = await response.json();
    if (!response.ok || typeof settings !== "object" || settings === null) return unknown;
    if (!("disable_signup" in settings)) return unknown;
    return {
      name,
      status: "ok",
      found: settings.disable_signup
        ? "Closed: only invited people get an account."
        : "Open: anyone can create an account, and gets a workspace of their own.",
      what_to_do: null,
    };
  } catch {
    return unknown;
  }
}
