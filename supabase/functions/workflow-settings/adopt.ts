/**
 * Kapso's side of a difference, as a change of the setting. Pure.
 *
 * @module
 */
import { AppError } from "../_shared/http/errors.ts";
import {
  MAX_PROMPT_LENGTH,
  type SettingChanges,
  settingChanges,
} from "../_shared/contracts/workflow_setting.ts";
import type { Change } from "./comparison.ts";
import { readKeywordDescription } from "./keywords.ts";

/**
 * What a setting has to become to be as Kapso is. An empty field at Kapso becomes null here: it is left
 * alone then.
 *
 * @throws {AppError} cannot_adopt (409) where the setting has no way to say it.
 */
export function adoptedChanges(changes: readonly Change[]): SettingChanges {
  const adopted = new Map<string, unknown>();
  for (const { field, kapso, label } of changes) {
    const value = field === "keywords" ? keywordsOf(String(kapso ?? ""), label!) : kapso || null;
    const other = adopted.get(field);
    if (other !== undefined && JSON.stringify(other) !== JSON.stringify(value)) {
      throw cannotAdopt(
        `The nodes have different values for ${field}: name fewer in kapso_mapping`,
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
    `The description of the condition ${label} is no list of keywords: take the condition out of kapso_mapping, or write the keywords over it`,
  );
}

function cannotAdopt(why: string): AppError {
  return new AppError(409, "cannot_adopt", `Kapso's values cannot be taken over. ${why}`);
}
