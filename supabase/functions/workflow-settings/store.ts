/**
 * Workflow settings in this project's database.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { userCallError } from "../_shared/auth/caller.ts";
import type { Database, Json } from "../_shared/database/database.types.ts";
import { AppError, databaseError, type DatabaseFailure } from "../_shared/http/errors.ts";
import type {
  AutoReplyTemplates,
  KapsoMapping,
  ManagedValues,
  SettingChanges,
} from "../_shared/contracts/workflow_setting.ts";
import type { KapsoConnection } from "./kapso.ts";
import type { Finding } from "./sync.ts";

type Row = Database["public"]["Tables"]["workflow_settings"]["Row"];

/** A row of `workflow_settings`, its JSON as it is defined. */
export type Setting =
  & Omit<Row, "auto_reply_templates" | "kapso_mapping" | "synced_values">
  & {
    auto_reply_templates: AutoReplyTemplates;
    kapso_mapping: KapsoMapping;
    synced_values: ManagedValues;
  };

/** A row of `workflow_settings_history`. */
export type HistoryEntry = Omit<
  Database["public"]["Tables"]["workflow_settings_history"]["Row"],
  "workspace_id" | "workflow_type"
>;

/** What a member reads and writes: row level security holds. */
export interface MemberStore {
  list(workspaceId: string): Promise<Setting[]>;
  find(workspaceId: string, type: string): Promise<Setting | undefined>;
  /**
   * @param version The version that was read; null for a new one.
   * @returns undefined where it has another version by now.
   */
  save(
    workspaceId: string,
    type: string,
    version: number | null,
    changes: SettingChanges,
    options?: { isAdopted: boolean },
  ): Promise<Setting | undefined>;
  /** @returns undefined where it has another version by now. */
  confirm(workspaceId: string, type: string, version: number): Promise<Setting | undefined>;
  /** @returns whether there was one. */
  remove(workspaceId: string, type: string): Promise<boolean>;
  /** Newest first. @param before Only entries with a smaller id. */
  history(
    workspaceId: string,
    type: string,
    page: { max: number; before: number | undefined },
  ): Promise<HistoryEntry[]>;
}

/** {@linkcode MemberStore} on the client of a user. */
export function memberStore(client: DatabaseClient): MemberStore {
  return {
    async list(workspaceId) {
      const { data, error, status } = await client.from("workflow_settings").select()
        .eq("workspace_id", workspaceId).order("workflow_type");
      if (error) throw userCallError(error, status);
      return data.map(toSetting);
    },
    async find(workspaceId, type) {
      const { data, error, status } = await client.from("workflow_settings").select()
        .eq("workspace_id", workspaceId).eq("workflow_type", type);
      if (error) throw userCallError(error, status);
      return data[0] && toSetting(data[0]);
    },
    async save(workspaceId, type, version, changes, { isAdopted } = { isAdopted: false }) {
      const data = await rpc(client, "save_workflow_settings", {
        workspace_id: workspaceId,
        workflow_type: type,
        expected_version: version as number,
        changes: changes as Json,
        is_adopted: isAdopted,
      });
      if (error) throw writeError(error, status);
      return data[0] && toSetting(data[0]);
    },
    async confirm(workspaceId, type, version) {
      const data = await rpc(client, "confirm_workflow_settings", {
        workspace_id: workspaceId,
        workflow_type: type,
        expected_version: version,
      });
      if (error) throw writeError(error, status);
      return data[0] && toSetting(data[0]);
    },
    async remove(workspaceId, type) {
      const { data, error, status } = await client.from("workflow_settings").delete()
        .eq("workspace_id", workspaceId).eq("workflow_type", type).select("id");
      return data.length > 0;
    },
    async history(workspaceId, type, { max, before }) {
      const query = client.from("workflow_settings_history")
        .select("id, version, action, sync_status, sync_reason, values, changed_by, changed_at")
        .eq("workspace_id", workspaceId).eq("workflow_type", type);
      const { data, error, status } = await (before === undefined ? query : query.lt("id", before))
        .order("id", { ascending: false }).limit(max);
      return data;
    },
  };
}

/** What the function itself reads and writes, with the service key: every call carries its workspace. */
export interface ServiceStore {
  /** Keep what a look at Kapso found. @returns the setting as it is now. */
  record(
    setting: Setting,
    finding: Finding,
    by: { action: "synced" | "checked" | "adopted"; userId: string },
  ): Promise<Setting>;
  /** The active WhatsApp connections of a workspace, oldest first. */
  connectionsOf(workspaceId: string): Promise<KapsoConnection[]>;
  /** The workspaces whose connections have any of these numbers: of all tenants, and ids alone. */
  workspacesOf(phoneNumberIds: string[]): Promise<string[]>;
}

/** {@linkcode ServiceStore} on a service client. */
export function serviceStore(client: DatabaseClient): ServiceStore {
  return {
    async record(setting, finding, { action, userId }) {
      const data = await rpc(client, "record_workflow_sync", {
        workspace_id: setting.workspace_id,
        workflow_type: setting.workflow_type,
        version: setting.version,
        status: finding.outcome,
        reason: finding.reason as string,
        action,
        acted_by: userId,
        ...(finding.values === undefined ? {} : { synced_values: finding.values as Json }),
        ...(finding.lockVersion === undefined ? {} : { lock_version: finding.lockVersion }),
      });
      // Deleted while Kapso was being asked: the caller still gets what was found.
      return data[0] ? toSetting(data[0]) : setting;
    },
    async connectionsOf(workspaceId) {
      const { data, error, status } = await client.from("connections")
        .select("id, phone_number_id")
        .eq("workspace_id", workspaceId).eq("platform", "whatsapp").eq("is_active", true)
        .order("created_at").limit(100);
      if (error) throw databaseError(error, status);
      return await Promise.all(data.map(async ({ id, phone_number_id: phoneNumberId }) => {
        const key = await client.rpc("kapso_api_key", { connection_id: id });
        if (key.error) throw databaseError(key.error, key.status);
        return { id, phoneNumberId, hasKey: key.data as string | null !== null };
      }));
    },
    async workspacesOf(phoneNumberIds) {
      const found = new Set<string>();
      // In parts: the numbers go into the address of the request.
      for (let start = 0; start < phoneNumberIds.length; start += 100) {
        const { data, error, status } = await client.from("connections").select("workspace_id")
          .in("phone_number_id", phoneNumberIds.slice(start, start + 100));
        if (error) throw databaseError(error, status);
        for (const { workspace_id: id } of data) found.add(id);
      }
      return [...found];
    },
  };
}

/** @throws as {@linkcode userCallError}, and what a person can put right. */
function writeError(error: DatabaseFailure, status: number): AppError {
  if (error.code === "23503") {
    return new AppError(400, "invalid_request", "connection_id is no connection of this workspace");
  }
  return userCallError(error, status);
}

function toSetting(row: Row): Setting {
  return {
    ...row,
    auto_reply_templates: row.auto_reply_templates as AutoReplyTemplates,
    kapso_mapping: row.kapso_mapping as KapsoMapping,
    synced_values: row.synced_values as ManagedValues,
  };
}
