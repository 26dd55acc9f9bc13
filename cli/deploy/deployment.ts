/**
 * What the steps of one deployment share.
 *
 * @module
 */

import type { HostedProject } from "../hosted/project.ts";
import type { ManagementApi } from "../hosted/management_api.ts";
import type { SupabaseCli } from "../hosted/supabase_cli.ts";
import type { Project } from "../../local/project.ts";
import type { DeployState } from "./state.ts";

/** One deployment: from this checkout to a hosted project. */
export interface Deployment {
  readonly checkout: Project;
  readonly target: HostedProject;
  readonly api: ManagementApi;
  readonly cli: SupabaseCli;
  readonly state: DeployState;
  /** Asks the person at the terminal; undefined where there is none. */
  readonly confirm: ((question: string) => Promise<boolean>) | undefined;
}
