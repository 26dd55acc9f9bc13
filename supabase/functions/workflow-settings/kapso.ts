/**
 * Kapso's workflows, as far as a workspace may reach them.
 *
 * @module
 */
import { AppError } from "../_shared/errors.ts";
import type { KapsoAccounts } from "../_shared/kapso/account.ts";
import { type KapsoClient, KapsoError } from "../_shared/kapso/client.ts";

/** What is asked of Kapso. Every call throws {@linkcode KapsoError}. */
export type KapsoWorkflows = Pick<
  KapsoClient,
  | "listWorkflows"
  | "getWorkflow"
  | "getWorkflowDefinitionText"
  | "updateWorkflow"
  | "listProviderModels"
>;

/** A connection of a workspace that may lead to Kapso. */
export interface KapsoConnection {
  id: string;
  phoneNumberId: string | null;
  /** Whether it has a Kapso key of its own. */
  hasKey: boolean;
}

/** Kapso, or why it cannot be reached. */
export type Connected =
  | { kapso: KapsoWorkflows; reason?: never }
  | { reason: "no_kapso_key" | "several_kapso_keys" };

/** What {@linkcode createConnect} needs. */
export interface ConnectDeps {
  /** The active WhatsApp connections of a workspace. */
  connectionsOf: (workspaceId: string) => Promise<KapsoConnection[]>;
  accounts: KapsoAccounts;
}

/** Connections without a key of their own that are tried. */
const MAX_TRIED = 10;

/**
 * Makes the way from a workspace to Kapso.
 *
 * A connection's own key is the workspace's. The key of the whole installation opens a Kapso project
 * that may hold other businesses too: with that, a workspace is let in only where the project knows a
 * number of the workspace.
 */
export function createConnect(
  { connectionsOf, accounts }: ConnectDeps,
): (workspaceId: string, connectionId: string | null, signal: AbortSignal) => Promise<Connected> {
  return async (workspaceId, connectionId, signal) => {
    const all = await connectionsOf(workspaceId);
    const meant = connectionId === null ? all : all.filter(({ id }) => id === connectionId);
    const own = meant.filter(({ hasKey }) => hasKey);
    if (own.length > 1) return { reason: "several_kapso_keys" };
    if (own.length === 1) return { kapso: await accounts(own[0]!.id) };
    for (const { id, phoneNumberId } of meant.slice(0, MAX_TRIED)) {
      if (phoneNumberId === null) continue;
      try {
        const kapso = await accounts(id);
        await kapso.getPhoneNumber(phoneNumberId, { signal });
        return { kapso };
      } catch (error) {
        if (error instanceof AppError && error.code === "kapso_api_key_missing") break;
        if (error instanceof KapsoError && error.status === 404) continue;
        throw error;
      }
    }
    return { reason: "no_kapso_key" };
  };
}
