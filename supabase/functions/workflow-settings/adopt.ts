/**
 * Turns Kapso's values into changes of the setting. Pure.
 *
 * @module
 */
import type { FieldChange } from "../_shared/contracts/workflow_settings.ts";
import {
  MAX_PROMPT_LENGTH,
  type SettingChanges,
  settingChanges,
} from "../_shared/contracts/workflow_values.ts";
import { AppError } from "../_shared/http/errors.ts";
import { readKeywordDescription } from "./keywords.ts";

/**
 * The changes that make a setting equal to Kapso. An empty field at Kapso becomes null, which leaves Kapso's
 * value alone.
 *
 * @throws {AppError} cannot_adopt (409) where a setting cannot express Kapso's values.
 */
export function adoptedChanges(changes: readonly FieldChange[]): SettingChanges {
  const adopted = new Map<string, unknown>();
  for (const { field, kapso, label } of changes) {
    const value = field === "keywords" ? keywordsOf(String(kapso ?? ""), label!) : kapso || null;
    const other = adopted.get(field);
    if (other !== undefined && JSON.stringify(other) !== JSON.stringify(value)) {
      throw cannotAdopt(
        `The nodes have different values for ${field}: list fewer nodes in kapso_mapping`,
      );
    }
    adopted.set(field, field === "temperature" || field === "max_tokens" ? kapso : value);
  }
  const parsed = settingChanges.safeParse(Object.fromEntries(adopted));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw cannotAdopt(
      `Kapso's ${String(issue!.path[0])} ${issue!.message}` +
        (issue!.path[0] === "system_prompt" ? ` (${MAX_PROMPT_LENGTH})` : ""),
    );
  }
  return parsed.data;
}

function keywordsOf(description: string, label: string): string[] {
  const words = readKeywordDescription(description);
  if (words !== undefined) return words;
  throw cannotAdopt(
    `The description of the condition ${label} is not a list of keywords: remove the condition from kapso_mapping, or overwrite it with the keywords`,
  );
}

function cannotAdopt(why: string): AppError {
  return new AppError(409, "cannot_adopt", `Kapso's values cannot be adopted. ${why}`);
}
