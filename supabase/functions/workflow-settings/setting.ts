/**
 * A workflow setting: its row, and how callers see it.
 *
 * @module
 */
import type { WorkflowSetting } from "../_shared/contracts/workflow_settings.ts";
import type { Database } from "../_shared/database/database.types.ts";
import { AppError } from "../_shared/http/errors.ts";

/** A row of `workflow_settings`. */
export type Setting = Database["public"]["Tables"]["workflow_settings"]["Row"];

/** A setting as callers see it. */
export function toWire(setting: Setting): WorkflowSetting {
  const { synced_values: _, kapso_lock_version: __, created_at: ___, ...shown } = setting;
  return {
    ...shown,
    last_synced_at: setting.last_synced_at && toUtc(setting.last_synced_at),
    last_checked_at: setting.last_checked_at && toUtc(setting.last_checked_at),
    updated_at: toUtc(setting.updated_at),
  };
}

/** A time of the database in UTC with milliseconds, as JavaScript writes it. */
export function toUtc(time: string): string {
  return new Date(time).toISOString();
}

/** The workspace has no setting of this type. */
export function settingNotFound(): AppError {
  return new AppError(404, "setting_not_found", "This workspace has no setting of this type yet");
}
