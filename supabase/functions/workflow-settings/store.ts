/**
 * Workflow settings in this project's database.
 *
 * @module
 */
import type { WorkflowHistoryEntry } from "../_shared/contracts/workflow_settings.ts";
import type { SettingChanges } from "../_shared/contracts/workflow_values.ts";
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { sqlStateOf } from "../_shared/database/errors.ts";
import { rows, rpc } from "../_shared/database/rpc.ts";
import { AppError } from "../_shared/http/errors.ts";
import type { Finding } from "./finding.ts";
import type { KapsoConnection } from "./kapso.ts";
import { type Setting, toUtc } from "./setting.ts";

/** What a member reads and writes: row level security holds. Every call throws as `databaseError`. */
export interface SettingStore {
  /** By type. */
  list(workspaceId: string): Promise<Setting[]>;
  find(workspaceId: string, type: string): Promise<Setting | undefined>;
  /**
   * Creates or changes a setting.
   *
   * @param version The version that was read; null for a new setting.
   * @throws {AppError} version_conflict (409) where it has another version now; invalid_request (400) for a
   *   connection of another workspace.
   */
  save(
    workspaceId: string,
    type: string,
    version: number | null,
    changes: SettingChanges,
    options?: { isAdopted: boolean },
  ): Promise<Setting>;
  /**
   * Records that Kapso was updated manually.
   *
   * @throws {AppError} version_conflict (409) where the setting has another version.
   */
  confirm(workspaceId: string, type: string, version: number): Promise<Setting>;
  /** @returns Whether the setting existed. */
  remove(workspaceId: string, type: string): Promise<boolean>;
  /**
   * A page of the changes, newest first.
   *
   * @param page `before`: only entries with a smaller id.
   */
  history(
    workspaceId: string,
    type: string,
    page: { max: number; before?: number | undefined },
  ): Promise<WorkflowHistoryEntry[]>;
}

/** {@linkcode SettingStore} on the client of a user. */
export function createSettingStore(client: DatabaseClient): SettingStore {
  return {
    list(workspaceId) {
      return rows(
        client,
        client.from("workflow_settings").select()
          .eq("workspace_id", workspaceId).order("workflow_type"),
      );
    },
    async find(workspaceId, type) {
      const [setting] = await rows(
        client,
        client.from("workflow_settings").select()
          .eq("workspace_id", workspaceId).eq("workflow_type", type),
      );
      return setting;
    },
    async save(workspaceId, type, version, changes, { isAdopted } = { isAdopted: false }) {
      try {
        const [setting] = await rpc(client, "save_workflow_settings", {
          workspace_id: workspaceId,
          workflow_type: type,
          expected_version: version,
          changes,
          is_adopted: isAdopted,
        });
        return setting!;
      } catch (error) {
        // The foreign key of connection_id.
        if (sqlStateOf(error) !== "23503") throw error;
        throw new AppError(
          400,
          "invalid_request",
          "connection_id is not a connection of this workspace",
        );
      }
    },
    async confirm(workspaceId, type, version) {
      const [setting] = await rpc(client, "confirm_workflow_settings", {
        workspace_id: workspaceId,
        workflow_type: type,
        expected_version: version,
      });
      return setting!;
    },
    async remove(workspaceId, type) {
      const removed = await rows(
        client,
        client.from("workflow_settings").delete()
          .eq("workspace_id", workspaceId).eq("workflow_type", type).select("id"),
      );
      return removed.length > 0;
    },
    async history(workspaceId, type, { max, before }) {
      const query = client.from("workflow_settings_history")
        .select("id, version, action, sync_status, sync_reason, values, changed_by, changed_at")
        .eq("workspace_id", workspaceId).eq("workflow_type", type);
      const entries = await rows(
        client,
        (before === undefined ? query : query.lt("id", before))
          .order("id", { ascending: false }).limit(max),
      );
      return entries.map((entry) => ({ ...entry, changed_at: toUtc(entry.changed_at) }));
    },
  };
}

/**
 * What the function reads and writes with the service key: every call carries its workspace and throws as
 * `databaseError`.
 */
export interface SyncStore {
  /**
   * Records the result of a comparison with Kapso.
   *
   * @returns The setting as it is now.
   */
  record(
    setting: Setting,
    finding: Finding,
    by: { action: "synced" | "checked" | "adopted"; userId: string },
  ): Promise<Setting>;
  /** The active WhatsApp connections of a workspace, oldest first. */
  connectionsOf(workspaceId: string): Promise<KapsoConnection[]>;
  /** Ids of the workspaces, of all tenants, whose connections have any of these phone numbers. */
  workspacesOf(phoneNumberIds: string[]): Promise<string[]>;
}

/** Phone numbers in one request: they are part of its URL, whose length is limited. */
const NUMBERS_PER_REQUEST = 100;

/** {@linkcode SyncStore} on a service client. */
export function createSyncStore(client: DatabaseClient): SyncStore {
  return {
    async record(setting, finding, { action, userId }) {
      const [recorded] = await rpc(client, "record_workflow_sync", {
        workspace_id: setting.workspace_id,
        workflow_type: setting.workflow_type,
        version: setting.version,
        status: finding.outcome,
        reason: finding.reason,
        action,
        acted_by: userId,
        synced_values: finding.values,
        lock_version: finding.lockVersion,
      });
      // Deleted while Kapso was read: the caller still gets the finding.
      return recorded ?? setting;
    },
    async connectionsOf(workspaceId) {
      const connections = await rows(
        client,
        client.from("connections").select("id, phone_number_id")
          .eq("workspace_id", workspaceId).eq("platform", "whatsapp").eq("is_active", true)
          .order("created_at").limit(100),
      );
      return await Promise.all(
        connections.map(async ({ id, phone_number_id: phoneNumberId }) => {
          const [stored] = await rpc(client, "kapso_api_key", { connection_id: id });
          return { id, phoneNumberId, hasKey: typeof stored?.api_key === "string" };
        }),
      );
    },
    async workspacesOf(phoneNumberIds) {
      const found = new Set<string>();
      for (let start = 0; start < phoneNumberIds.length; start += NUMBERS_PER_REQUEST) {
        const connections = await rows(
          client,
          client.from("connections").select("workspace_id")
            .in("phone_number_id", phoneNumberIds.slice(start, start + NUMBERS_PER_REQUEST)),
        );
        for (const { workspace_id: id } of connections) found.add(id);
      }
      return [...found];
    },
  };
}
