/**
 * Compares a setting with Kapso: which fields differ, who changed them, and a fingerprint of Kapso's values.
 *
 * @module
 */
import { sha256Hex } from "../_shared/auth/hash.ts";
import type { FieldChange } from "../_shared/contracts/workflow_settings.ts";
import type { ManagedValues } from "../_shared/contracts/workflow_values.ts";
import { isSameValue, type ManagedField } from "./managed_fields.ts";

/**
 * The fields that differ.
 *
 * @param synced The values at the last sync. A value at Kapso that differs from them was changed there; an
 *   empty one without an earlier sync counts as unchanged.
 */
export function compare(fields: readonly ManagedField[], synced: ManagedValues): FieldChange[] {
  return fields.filter(({ isSame }) => !isSame).map((field) => {
    const known = Object.hasOwn(synced, field.node.id) ? synced[field.node.id]! : {};
    const wasSynced = Object.hasOwn(known, field.key);
    const isEmpty = field.kapso === null || field.kapso === "";
    return {
      node_id: field.node.id,
      node_name: field.node.name,
      field: field.name,
      label: field.label,
      settings: field.settings,
      kapso: field.kapso,
      last_synced: wasSynced ? known[field.key]! : null,
      is_conflict: wasSynced ? !isSameValue(known[field.key], field.kapso) : !isEmpty,
    };
  });
}

/** A fingerprint of the values at Kapso: 32 hexadecimal digits that stay the same until a value changes. */
export async function fingerprintOf(
  workflowId: string,
  fields: readonly ManagedField[],
): Promise<string> {
  const state = JSON.stringify([
    workflowId,
    ...fields.map(({ node, key, kapso }) => [node.id, key, kapso])
      .toSorted(([a, b], [c, d]) => `${a} ${b}` < `${c} ${d}` ? -1 : 1),
  ]);
  return (await sha256Hex(state)).slice(0, 32);
}
