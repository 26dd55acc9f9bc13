/**
 * A setting beside what Kapso has: what differs, who has changed it, and a name for exactly that state.
 * Pure but for hashing.
 *
 * @module
 */
import type { ManagedValues } from "../_shared/contracts/workflow_setting.ts";
import { type Field, isSameValue, type Target } from "./editable_fields.ts";

/** A field that differs, with both sides. */
export interface Change {
  node_id: string;
  node_name: string;
  field: Field;
  /** Of a condition, else null. */
  label: string | null;
  settings: string | number;
  kapso: string | number | null;
  /** What both once were; null: never synced. */
  last_synced: string | number | null;
  /** Kapso's side was changed by somebody else. */
  is_conflict: boolean;
}

/**
 * The differences.
 *
 * @param base What was last known to be at Kapso. What is there now and was not then is somebody
 *   else's; an empty field is nobody's.
 */
export function compare(targets: readonly Target[], base: ManagedValues): Change[] {
  return targets.filter(({ isSame }) => !isSame).map((target) => {
    const known = Object.hasOwn(base, target.node.id) ? base[target.node.id]! : {};
    const hasBase = Object.hasOwn(known, target.key);
    const isEmpty = target.kapso === null || target.kapso === "";
    return {
      node_id: target.node.id,
      node_name: target.node.name,
      field: target.field,
      label: target.label,
      settings: target.settings,
      kapso: target.kapso,
      last_synced: hasBase ? known[target.key]! : null,
      is_conflict: hasBase ? !isSameValue(known[target.key], target.kapso) : !isEmpty,
    };
  });
}

/** A short name for the values that Kapso has: the same as long as none of them changes. */
export async function fingerprintOf(
  workflowId: string,
  targets: readonly Target[],
): Promise<string> {
  const state = JSON.stringify([
    workflowId,
    ...targets.map(({ node, key, kapso }) => [node.id, key, kapso])
      .toSorted(([a, b], [c, d]) => `${a} ${b}` < `${c} ${d}` ? -1 : 1),
  ]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(state));
  return Array.from(
    new Uint8Array(digest).subarray(0, 16),
    (byte) => byte.toString(16).padStart(2, "0"),
  ).join("");
}
