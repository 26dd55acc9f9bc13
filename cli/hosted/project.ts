/**
 * A hosted project, found by its ref: its address and its keys.
 *
 * @module
 */

import * as z from "zod";
import { CommandError } from "../command_error.ts";
import { readProjectUrl } from "../project.ts";
import type { ManagementApi } from "./management_api.ts";

const projectSchema = z.object({ name: z.string(), status: z.string() });
const keysSchema = z.array(z.object({
  name: z.string(),
  type: z.string().nullish(),
  api_key: z.string().nullish(),
}));

/** The keys of a project. */
export interface ProjectKeys {
  /** Sent beside the token of a user; it may be public. */
  publishable: string;
  /** Bypasses row level security: the one named `default`, otherwise the first, otherwise the legacy one. */
  secret: string;
  /** All that bypass row level security. */
  allSecret: readonly string[];
}

/** A project that answers. */
export interface HostedProject {
  ref: string;
  name: string;
  /** Without a slash at its end. */
  url: string;
  keys: ProjectKeys;
}

/**
 * Finds the project of a ref.
 *
 * @param env `SUPABASE_URL`, if the project has a domain of its own.
 * @throws {CommandError} if it is paused, is not ready or has no keys.
 */
export async function findHostedProject(
  api: ManagementApi,
  env: Record<string, string | undefined>,
): Promise<HostedProject> {
  const { name, status } = await api.get("", projectSchema);
  if (!status.startsWith("ACTIVE")) {
    throw new CommandError(
      `The project ${api.ref} is not running (${status}). Wait until it is, or restore it in the dashboard.`,
    );
  }
  const keys = readKeys(await api.get("/api-keys?reveal=true", keysSchema));
  const url = readProjectUrl(env.SUPABASE_URL?.trim() || `https://${api.ref}.supabase.co`);
  return { ref: api.ref, name, url, keys };
}

/** Sorts the keys by what they open. */
export function readKeys(keys: z.output<typeof keysSchema>): ProjectKeys {
  const find = (type: string, legacyName: string) => {
    const ofType = keys.filter((key) => key.type === type && key.api_key);
    const first = ofType.filter(({ name }) => name === "default");
    const legacy = keys.filter((key) => key.type !== type && key.name === legacyName);
    return [...first, ...ofType, ...legacy].flatMap(({ api_key }) => api_key ? [api_key] : []);
  };
  const secret = [...new Set(find("secret", "service_role"))];
  const [publishable] = find("publishable", "anon");
  if (secret[0] === undefined || publishable === undefined) {
    throw new CommandError(
      "The project has no secret or no publishable key. Create both in its settings, API keys.",
    );
  }
  return { publishable, secret: secret[0], allSecret: secret };
}
