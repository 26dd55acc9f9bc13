/**
 * The checks that the database does itself, and those of its answer.
 *
 * @module
 */

import type { HealthCheck } from "../../supabase/functions/_shared/contracts/inbox/views.ts";
import type { Check } from "./check.ts";

/** The clocks may differ by this much: links, leases and reply windows are measured in minutes. */
const MAX_SKEW_MS = 30_000;

/**
 * Reads `public.installation_health` over REST, and compares the version of the schema and the clock.
 *
 * @param newestMigration The version of the newest migration of this checkout.
 */
export async function checkDatabase(
  project: { url: string; serviceKey: string },
  newestMigration: string,
): Promise<Check[]> {
  const askedAt = Date.now();
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${project.url}/rest/v1/installation_health?select=*`, {
      headers: { apikey: project.serviceKey },
      signal: AbortSignal.timeout(20_000),
    });
    text = await response.text();
  } catch {
    return [{
      name: "rest",
      status: "problem",
      found: "The REST API does not answer.",
      what_to_do: "Check SUPABASE_URL, the network, and that the project is not paused.",
    }];
  }
  if (!response.ok) return [refusal(response.status)];
  const rows = readRows(text);
  if (rows === undefined || rows.length === 0) {
    return [{
      name: "rest",
      status: "problem",
      found: "The REST API answers, but not with the checks.",
      what_to_do:
        "Check that SUPABASE_URL is a Supabase project, and that the key is a secret key.",
    }];
  }
  return [
    {
      name: "rest",
      status: "ok",
      found: "The REST API answers and accepts the secret key.",
      what_to_do: null,
    },
    checkClock(rows[0]!.checked_at, (askedAt + Date.now()) / 2),
    checkSchema(rows, newestMigration),
    ...rows.filter(({ name }) => name !== "schema version")
      .map(({ name, status, found, what_to_do }) => ({ name, status, found, what_to_do })),
  ];
}

function readRows(text: string): HealthCheck[] | undefined {
  try {
    const rows = JSON.parse(text);
    return Array.isArray(rows) ? rows : undefined;
  } catch {
    return undefined;
  }
}

function refusal(status: number): Check {
  if (status === 401 || status === 403) {
    return {
      name: "rest",
      status: "problem",
      found: `The REST API refuses the key (${status}).`,
      what_to_do: "Set SUPABASE_SECRET_KEY to a secret key of this project.",
    };
  }
  if (status === 404) {
    return {
      name: "rest",
      status: "problem",
      found: "The database has no installation_health.",
      what_to_do: "Apply the migrations: supabase db push; on one machine restart deno task start.",
    };
  }
  return {
    name: "rest",
    status: "problem",
    found: `The REST API answers ${status}.`,
    what_to_do: "Try again in a moment; then look in the log of the database.",
  };
}

function checkClock(checkedAt: string, now: number): Check {
  const seconds = Math.round((Date.parse(checkedAt) - now) / 1000);
  const isOff = Math.abs(seconds) * 1000 > MAX_SKEW_MS;
  return {
    name: "clock",
    status: isOff ? "warning" : "ok",
    found: `The clock of the database and the one of this machine differ by ${
      Math.abs(seconds)
    } s.`,
    what_to_do: isOff ? "Let both follow a time server (NTP)." : null,
  };
}

function checkSchema(rows: readonly HealthCheck[], newest: string): Check {
  const found = rows.find(({ name }) => name === "schema version")?.found ?? "none";
  const name = "schema version";
  if (found === newest) {
    return { name, status: "ok", found: `${found}, as this checkout.`, what_to_do: null };
  }
  return {
    name,
    status: "problem",
    found: `The database has ${found}, this checkout ${newest}.`,
    what_to_do: found < newest
      ? "Apply the migrations: supabase db push; on one machine restart deno task start."
      : "Check out the version that the database has.",
  };
}
