/**
 * Reads `config.json` beside the page, which the host of the app writes: where Supabase is.
 *
 * @module
 */

/** The content of `config.json`. */
export interface AppConfig {
  /** Address of the Supabase project. */
  api_url: string;
  /** Address for reads, where the project has a read replica: that of the replica or of the load balancer. */
  read_url?: string;
  /** Its publishable key. It grants nothing alone: row level security decides what a user sees. */
  publishable_key: string;
  /** False where the project has no Realtime; then the app polls. */
  has_realtime?: boolean;
  /** The sign-in of a demo, which the form is filled with. */
  demo?: { email: string; password: string };
}

/**
 * Fetches the configuration.
 *
 * @throws {Error} when it is missing or unusable.
 */
export async function loadConfig(): Promise<AppConfig> {
  const response = await fetch("./config.json", { cache: "no-store" });
  if (!response.ok) throw new Error(`config.json: ${response.status}`);
  const config: Partial<AppConfig> = await response.json();
  if (!config.api_url || !config.publishable_key) {
    throw new Error("config.json: api_url or publishable_key is missing");
  }
  if (/^sb_secret_/.test(config.publishable_key)) {
    throw new Error(
      "config.json holds a secret key; it must be the publishable one",
    );
  }
  return config as AppConfig;
}
