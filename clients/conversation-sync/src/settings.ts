/**
 * Settings: options first, then the environment, then the defaults.
 *
 * @module
 */

/** What the client reads from the environment; see {@linkcode readEnvironment}. */
export interface EnvironmentSettings {
  /** Where the API is. */
  apiBaseUrl?: string;
  /** An agent key. */
  apiKey?: string;
  /** The business that calls without a `subDomain` are about. */
  subDomain?: string;
  /** The branch of that business. */
  localId?: string;
  /** False switches the client off. */
  enabled?: boolean;
  /** How long a call may take, in milliseconds. */
  timeoutMs?: number;
  /** Names of variables whose value says nothing. They count as not set. */
  invalid: string[];
}

/** Variables of an environment, such as `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the settings from the environment. The only function that does.
 *
 * | variable | setting |
 * |---|---|
 * | `CONVERSATION_API_BASE_URL`, else `CARTAAI_API_BASE_URL` | `apiBaseUrl` |
 * | `CONVERSATION_API_KEY`, else `CARTAAI_API_KEY` | `apiKey` |
 * | `CONVERSATION_SUBDOMAIN`, else `CARTAAI_SUBDOMAIN` | `subDomain` |
 * | `CONVERSATION_LOCAL_ID`, else `CARTAAI_LOCAL_ID` | `localId` |
 * | `CONVERSATION_API_TIMEOUT`, in seconds | `timeoutMs` |
 * | `ENABLE_CONVERSATION_SYNC` | `enabled` |
 * | `USE_CARTAAI_API` | when false, no variable whose name begins with `CARTAAI_` is used |
 *
 * An empty variable counts as not set.
 *
 * @param env Variables; without them, those of the process. A runtime that has none, or does not permit to
 * read them (Deno without `--allow-env`), has an empty environment.
 */
export function readEnvironment(env: Environment = processEnvironment()): EnvironmentSettings {
  const settings: EnvironmentSettings = { invalid: [] };
  const read = (name: string) => env[name]?.trim() || undefined;
  const readFlag = (name: string): boolean | undefined => {
    const value = read(name)?.toLowerCase();
    if (value === undefined) return undefined;
    if (["true", "1", "yes", "on"].includes(value)) return true;
    if (["false", "0", "no", "off"].includes(value)) return false;
    settings.invalid.push(name);
    return undefined;
  };

  const usesCartaai = readFlag("USE_CARTAAI_API") ?? true;
  const readEither = (name: string, former: string) =>
    read(name) ?? (usesCartaai ? read(former) : undefined);
  const apiBaseUrl = readEither("CONVERSATION_API_BASE_URL", "CARTAAI_API_BASE_URL");
  const apiKey = readEither("CONVERSATION_API_KEY", "CARTAAI_API_KEY");
  const subDomain = readEither("CONVERSATION_SUBDOMAIN", "CARTAAI_SUBDOMAIN");
  const localId = readEither("CONVERSATION_LOCAL_ID", "CARTAAI_LOCAL_ID");
  const enabled = readFlag("ENABLE_CONVERSATION_SYNC");
  if (apiBaseUrl !== undefined) settings.apiBaseUrl = apiBaseUrl;
  if (apiKey !== undefined) settings.apiKey = apiKey;
  if (subDomain !== undefined) settings.subDomain = subDomain;
  if (localId !== undefined) settings.localId = localId;
  if (enabled !== undefined) settings.enabled = enabled;

  const timeout = read("CONVERSATION_API_TIMEOUT");
  if (timeout !== undefined) {
    const timeoutMs = Number(timeout) * 1000;
    if (isTimeout(timeoutMs)) settings.timeoutMs = timeoutMs;
    else settings.invalid.push("CONVERSATION_API_TIMEOUT");
  }
  return settings;
}

/** Whether a time in milliseconds is one that a timer can wait. */
export function isTimeout(timeoutMs: number): boolean {
  return timeoutMs > 0 && timeoutMs <= 2 ** 31 - 1;
}

/**
 * Checks an address and removes the slash at its end.
 *
 * @returns undefined when it is no http(s) address, or one with a query, a fragment or a password.
 */
export function normalizeBaseUrl(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined;
  const url = new URL(address);
  if (!/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
    return undefined;
  }
  return url.href.replace(/\/+$/, "");
}

/** Whether a key can stand in a header as it is. */
export function isApiKey(key: string): boolean {
  return /^[\x21-\x7e]+$/.test(key);
}

const NAMES = [
  "CONVERSATION_API_BASE_URL",
  "CONVERSATION_API_KEY",
  "CONVERSATION_SUBDOMAIN",
  "CONVERSATION_LOCAL_ID",
  "CONVERSATION_API_TIMEOUT",
  "ENABLE_CONVERSATION_SYNC",
  "CARTAAI_API_BASE_URL",
  "CARTAAI_API_KEY",
  "CARTAAI_SUBDOMAIN",
  "CARTAAI_LOCAL_ID",
  "USE_CARTAAI_API",
];

function processEnvironment(): Environment {
  const found: Record<string, string | undefined> = {};
  // Deno and Node both have `process`; browsers and some edge runtimes have not. One name at a time, so
  // that Deno's `--allow-env=CONVERSATION_API_KEY,…` is enough.
  const { process } = globalThis as { process?: { env?: Environment } };
  for (const name of NAMES) {
    try {
      found[name] = process?.env?.[name];
    } catch { /* Not permitted. */ }
  }
  return found;
}
