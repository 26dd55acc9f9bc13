/**
 * Access to the Kapso workflows of a workspace.
 *
 * @module
 */
import { AppError } from "../_shared/http/errors.ts";
import type { KapsoAccounts } from "../_shared/kapso/api/accounts.ts";
import type { KapsoClient } from "../_shared/kapso/api/client.ts";

/** The calls to Kapso. Each throws `KapsoError`. */
export type KapsoWorkflows = Pick<
  KapsoClient,
  | "listWorkflows"
  | "getWorkflow"
  | "getWorkflowDefinitionText"
  | "updateWorkflow"
  | "listProviderModels"
>;

/** A connection of a workspace that may give access to Kapso. */
export interface KapsoConnection {
  id: string;
  phoneNumberId: string | null;
  /** Whether it has a Kapso key of its own. */
  hasKey: boolean;
}

/** A client of Kapso, or why the workspace has none. */
export type Connected =
  | { kapso: KapsoWorkflows; reason?: never }
  | { reason: "no_kapso_key" | "several_kapso_keys" };

/** What {@linkcode createConnect} needs. */
export interface ConnectDeps {
  /** The active WhatsApp connections of a workspace. */
  connectionsOf: (workspaceId: string) => Promise<KapsoConnection[]>;
  /** The workspaces that have any of these phone numbers. */
  workspacesOf: (phoneNumberIds: string[]) => Promise<string[]>;
  accounts: KapsoAccounts;
}

/**
 * Finds the Kapso client for a workspace.
 *
 * @param connectionId The connection whose key is used; null for the workspace's only one.
 */
export type Connect = (
  workspaceId: string,
  connectionId: string | null,
  signal: AbortSignal,
) => Promise<Connected>;

/**
 * Creates a {@linkcode Connect}.
 *
 * A connection's own key belongs to the workspace. The key of the whole installation opens a Kapso project
 * whose workflows, with their prompts, belong to the owners of its phone numbers, so it is used only where
 * all those numbers belong to this workspace.
 */
export function createConnect({ connectionsOf, workspacesOf, accounts }: ConnectDeps): Connect {
  return async (workspaceId, connectionId, signal) => {
    const all = await connectionsOf(workspaceId);
    const chosen = connectionId === null ? all : all.filter(({ id }) => id === connectionId);
    const own = chosen.filter(({ hasKey }) => hasKey);
    if (own.length > 1) return { reason: "several_kapso_keys" };
    if (own.length === 1) return { kapso: await accounts(own[0]!.id) };
    const shared = chosen.find(({ phoneNumberId }) => phoneNumberId !== null);
    if (shared === undefined) return { reason: "no_kapso_key" };
    try {
      const kapso = await accounts(shared.id);
      const numbers = (await kapso.listPhoneNumbers({ signal }))
        .map((row) => row.phone_number_id)
        .filter((number) => typeof number === "string");
      const isKnown = chosen.some(({ phoneNumberId }) =>
        phoneNumberId !== null && numbers.includes(phoneNumberId)
      );
      const owners = isKnown ? await workspacesOf(numbers) : [];
      return owners.length === 1 && owners[0] === workspaceId
        ? { kapso }
        : { reason: "no_kapso_key" };
    } catch (error) {
      if (error instanceof AppError && error.code === "kapso_api_key_missing") {
        return { reason: "no_kapso_key" };
      }
      throw error;
    }
  };
}
