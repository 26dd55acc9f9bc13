/**
 * Kapso's workflows, as far as a workspace may reach them.
 *
 * @module
 */
import { AppError } from "../_shared/http/errors.ts";
import type { KapsoAccounts } from "../_shared/kapso/api/accounts.ts";
import type { KapsoClient } from "../_shared/kapso/api/client.ts";

/** What is asked of Kapso. Every call throws `KapsoError`. */
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
  /** The workspaces that have any of these numbers. */
  workspacesOf: (phoneNumberIds: string[]) => Promise<string[]>;
  accounts: KapsoAccounts;
}

/**
 * Makes the way from a workspace to Kapso.
 *
 * A connection's own key is the workspace's. The key of the whole installation opens a Kapso project
 * whose workflows, prompts and all, belong to whoever has its numbers: it is used where those numbers are
 * this workspace's and nobody else's.
 */
export function createConnect(
  { connectionsOf, workspacesOf, accounts }: ConnectDeps,
): (workspaceId: string, connectionId: string | null, signal: AbortSignal) => Promise<Connected> {
  return async (workspaceId, connectionId, signal) => {
    const all = await connectionsOf(workspaceId);
    const meant = connectionId === null ? all : all.filter(({ id }) => id === connectionId);
    const own = meant.filter(({ hasKey }) => hasKey);
    if (own.length > 1) return { reason: "several_kapso_keys" };
    if (own.length === 1) return { kapso: await accounts(own[0]!.id) };
    const shared = meant.find(({ phoneNumberId }) => phoneNumberId !== null);
    if (shared === undefined) return { reason: "no_kapso_key" };
    try {
      const kapso = await accounts(shared.id);
      const numbers = (await kapso.listPhoneNumbers({ signal }))
        .map((row) => row.phone_number_id)
        .filter((number) => typeof number === "string");
      const isKnown = meant.some(({ phoneNumberId }) =>
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
