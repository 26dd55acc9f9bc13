/**
 * Settings of summaries: time, language, and whether an AI may write them.
 *
 * @module
 */

import { type FormEvent, useId } from "react";
import { describeError } from "../api/api_error.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { PageSpinner } from "../ui/spinner.tsx";
import { SelectField } from "../ui/select_field.tsx";
import { showToast } from "../ui/toast.ts";
import { useWorkspace } from "../workspace/workspace.tsx";
import { formatHour } from "./schedule.tsx";
import type { SummarySettings } from "../api/rows.ts";
import { useSaveSummarySettings, useSummarySettings } from "./use_summaries.ts";

const HOUR_OPTIONS = Array.from({ length: 24 }, (_, hour) => ({
  value: String(hour),
  label: formatHour(hour),
}));
/** Languages of extracts, then languages that models write well. Others can be set through the API. */
const LANGUAGES = ["en", "de", "es", "id", "pt"].concat(
  ["ar", "bn", "cs", "da", "el", "fi", "fr", "he", "hi", "hu", "it", "ja", "ko", "ms", "nl", "no"],
  ["pl", "ro", "ru", "sv", "sw", "th", "tr", "uk", "ur", "vi", "zh"],
);

/** The form. */
export function SettingsDialog({ onClose }: { onClose: () => void }) {
  const query = useSummarySettings();
  return (
    <Dialog title={texts.summaries.settingsTitle} onClose={onClose}>
      {query.isPending && <PageSpinner />}
      {query.isError && !query.data && (
        <LoadFailed
          title={texts.summaries.settingsFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      )}
      {query.data && <SettingsForm settings={query.data} onClose={onClose} />}
    </Dialog>
  );
}

function SettingsForm({ settings, onClose }: {
  settings: SummarySettings;
  onClose: () => void;
}) {
  const workspace = useWorkspace();
  const save = useSaveSummarySettings();
  const languages = LANGUAGES.includes(settings.language)
    ? LANGUAGES
    : [settings.language, ...LANGUAGES];
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    save.mutate({
      is_enabled: form.has("is_enabled"),
      hour: Number(form.get("hour")),
      language: String(form.get("language")),
      allow_external_ai: form.has("allow_external_ai"),
    }, {
      onSuccess() {
        showToast(texts.summaries.settingsSaved);
        onClose();
      },
    });
  }
  return (
    <form className="dialog-form" onSubmit={submit}>
      <Switch
        name="is_enabled"
        label={texts.summaries.enabled}
        hint={texts.summaries.enabledHint}
        isOn={settings.is_enabled}
      />
      <div className="field">
        <SelectField
          label={texts.summaries.hour}
          name="hour"
          options={HOUR_OPTIONS}
          defaultValue={String(settings.hour)}
        />
        <p className="field-hint">{texts.summaries.hourHint(workspace.time_zone)}</p>
      </div>
      <div className="field">
        <SelectField
          label={texts.summaries.language}
          name="language"
          options={languages.map((tag) => ({ value: tag, label: languageName(tag) }))}
          defaultValue={settings.language}
        />
        <p className="field-hint">{texts.summaries.languageHint}</p>
      </div>
      <Switch
        name="allow_external_ai"
        label={texts.summaries.allowAi}
        hint={texts.summaries.allowAiHint}
        isOn={settings.allow_external_ai}
      />
      <p className="form-error" role="alert">{save.isError && describeError(save.error)}</p>
      <div className="dialog-actions">
        <Button onClick={onClose}>{texts.common.cancel}</Button>
        <Button type="submit" variant="primary" isBusy={save.isPending}>
          {texts.common.save}
        </Button>
      </div>
    </form>
  );
}

function Switch({ name, label, hint, isOn }: {
  name: string;
  label: string;
  hint: string;
  isOn: boolean;
}) {
  const id = useId();
  return (
    <div className="check">
      <input
        type="checkbox"
        id={id}
        name={name}
        defaultChecked={isOn}
        aria-describedby={`${id}-hint`}
      />
      <div>
        <label htmlFor={id}>{label}</label>
        <p className="field-hint" id={`${id}-hint`}>{hint}</p>
      </div>
    </div>
  );
}

function languageName(tag: string): string {
  try {
    return new Intl.DisplayNames(undefined, { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}
