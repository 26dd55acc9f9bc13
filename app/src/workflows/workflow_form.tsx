/**
 * The fields of a setting.
 *
 * @module
 */

import { type ReactNode, useEffect, useId, useRef } from "react";
import { ApiError, describeError } from "../api/api_error.ts";
import { texts } from "../texts.ts";
import { TextField } from "../ui/text_field.tsx";
import { AutomaticReplies } from "./automatic_replies.tsx";
import { doubleName, type FormPartProps, WORKFLOW_FIELDS } from "./draft.ts";
import { KapsoFields } from "./kapso_fields.tsx";
import { KeywordsField } from "./keywords_field.tsx";
import type { WorkflowValues } from "../api/rows.ts";

const MAX_PROMPT = 100_000;
/** Models to choose from; others can be typed. */
const MODELS = [
  "google/gemini-2.5-flash",
  "x-ai/grok-4.1-fast",
  "openai/gpt-4.1-mini",
];

/** The form. `error` is shown at its field. */
export function WorkflowForm({ draft, models, error, onChange }: FormPartProps & {
  models: string[];
  error: Error | null;
}) {
  const list = useId();
  const form = useRef<HTMLDivElement>(null);
  const message = error && describeError(error);
  const wrong = error instanceof ApiError
    ? WORKFLOW_FIELDS.find((field) => field === error.field)
    : undefined;
  const double = doubleName(draft);
  useEffect(() => {
    if (error) {
      form.current?.querySelector<HTMLElement>("[data-wrong] :is(input, textarea, select)")
        ?.focus();
    }
  }, [error]);
  const field = (name: keyof WorkflowValues, children: ReactNode) => (
    <div className="form-part" data-wrong={wrong === name || undefined}>
      {children}
      {wrong === name && <p className="form-error" role="alert">{message}</p>}
    </div>
  );
  return (
    <div className="form-sections" ref={form}>
      <section className="panel" aria-labelledby={`${list}-behaviour`}>
        <h2 id={`${list}-behaviour`}>{texts.workflows.behaviour}</h2>
        {field(
          "ai_model",
          <>
            <TextField
              label={texts.workflows.model}
              hint={`${texts.workflows.modelHint} ${texts.workflows.keepHint}`}
              value={draft.ai_model}
              list={list}
              autoComplete="off"
              spellCheck={false}
              onChange={({ target }) => onChange({ ai_model: target.value })}
            />
            <datalist id={list}>
              {[...new Set([...models, ...MODELS])].map((model) => (
                <option key={model} value={model} />
              ))}
            </datalist>
          </>,
        )}
        {field(
          "system_prompt",
          <Prompt
            value={draft.system_prompt}
            onChange={(value) => onChange({ system_prompt: value })}
          />,
        )}
        <div className="form-pair">
          {field(
            "temperature",
            <TextField
              label={texts.workflows.temperature}
              hint={`${texts.workflows.temperatureHint} ${texts.workflows.keepHint}`}
              value={draft.temperature}
              inputMode="decimal"
              onChange={({ target }) => onChange({ temperature: target.value })}
            />,
          )}
          {field(
            "max_tokens",
            <TextField
              label={texts.workflows.maxTokens}
              hint={`${texts.workflows.maxTokensHint} ${texts.workflows.keepHint}`}
              value={draft.max_tokens}
              inputMode="numeric"
              onChange={({ target }) => onChange({ max_tokens: target.value })}
            />,
          )}
        </div>
      </section>
      <section className="panel" aria-labelledby={`${list}-keywords`}>
        <h2 id={`${list}-keywords`}>{texts.workflows.keywordsTitle}</h2>
        {field(
          "keywords",
          <KeywordsField
            keywords={draft.keywords}
            onChange={(keywords) => onChange({ keywords })}
          />,
        )}
        {field("auto_reply_templates", <AutomaticReplies draft={draft} onChange={onChange} />)}
        <p className="form-error" role="alert">
          {double !== undefined && texts.workflows.doubleReply(double)}
        </p>
      </section>
      <section className="panel" aria-labelledby={`${list}-kapso`}>
        <h2 id={`${list}-kapso`}>{texts.workflows.link}</h2>
        <KapsoFields draft={draft} field={field} onChange={onChange} />
      </section>
      <p className="form-error" role="alert">{wrong === undefined && message}</p>
    </div>
  );
}

function Prompt({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{texts.workflows.prompt}</label>
      <textarea
        id={id}
        className="input prompt-input"
        rows={10}
        value={value}
        aria-describedby={`${id}-hint`}
        onChange={({ target }) => onChange(target.value)}
      />
      <p className="field-hint field-hint-split" id={`${id}-hint`}>
        <span>{texts.workflows.keepHint}</span>
        <span>
          {texts.workflows.promptCount(
            [...value].length.toLocaleString(),
            MAX_PROMPT.toLocaleString(),
          )}
        </span>
      </p>
    </div>
  );
}
