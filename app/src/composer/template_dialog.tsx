/**
 * Chooses a template, fills it in and sends it.
 *
 * @module
 */

import { useQuery } from "@tanstack/react-query";
import { LayoutTemplate } from "lucide-react";
import { type FormEvent, useState } from "react";
import { describeError } from "../api/api_error.ts";
import { useApi } from "../api/context.tsx";
import type { Conversation, Template } from "../api/rows.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { EmptyState } from "../ui/empty_state.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { PageSpinner } from "../ui/spinner.tsx";
import { TextField } from "../ui/text_field.tsx";
import { useUpload } from "./use_upload.ts";
import type { WrittenMessage } from "../outbox/use_send_message.ts";
import { templatesQuery } from "./queries.ts";
import { headerMedia, renderTemplate, templateComponents, templateFields } from "./template.ts";

interface TemplateDialogProps {
  conversation: Conversation;
  onClose: () => void;
  onSubmit: (message: WrittenMessage) => void;
}

/** The dialog. The default export, so that it is loaded when it is opened. */
export default function TemplateDialog(props: TemplateDialogProps) {
  const { conversation, onClose } = props;
  const api = useApi();
  const [search, setSearch] = useState("");
  const [chosen, setChosen] = useState<Template>();
  const query = useQuery(templatesQuery(api, conversation));
  const wanted = search.trim().toLowerCase();
  const found = query.data?.filter((template) =>
    `${template.name} ${renderTemplate(template, new Map()).body}`.toLowerCase()
      .includes(wanted)
  );
  return (
    <Dialog title={texts.templates.title} size="large" onClose={onClose}>
      {query.isPending && <PageSpinner />}
      {query.isError && !query.data && (
        <LoadFailed
          title={texts.templates.loadFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      )}
      {query.data?.length === 0 && (
        <EmptyState
          level="h3"
          icon={LayoutTemplate}
          title={texts.templates.none}
          hint={texts.templates.noneHint}
        />
      )}
      {found && query.data && query.data.length > 0 && !chosen && (
        <>
          <input
            className="input"
            type="search"
            aria-label={texts.templates.search}
            placeholder={texts.templates.search}
            value={search}
            autoFocus
            onChange={(event) => setSearch(event.target.value)}
          />
          <ul className="template-list">
            {found.map((template) => (
              <li key={template.id}>
                <button
                  type="button"
                  className="template-choice"
                  onClick={() => setChosen(template)}
                >
                  <span className="template-name">
                    <strong>{template.name}</strong>
                    <span className="tag">{template.language}</span>
                    <span className="tag">
                      {template.category.toLowerCase()}
                    </span>
                  </span>
                  <span className="template-body">
                    {renderTemplate(template, new Map()).body}
                  </span>
                </button>
              </li>
            ))}
          </ul>
          {found.length === 0 && <p className="muted">{texts.templates.nothingFound}</p>}
        </>
      )}
      {chosen && (
        <TemplateForm
          {...props}
          template={chosen}
          onBack={() => setChosen(undefined)}
        />
      )}
    </Dialog>
  );
}

function TemplateForm(
  { conversation, template, onBack, onClose, onSubmit }: TemplateDialogProps & {
    template: Template;
    onBack: () => void;
  },
) {
  const [values, setValues] = useState<ReadonlyMap<string, string>>(new Map());
  const upload = useUpload(conversation.id);
  const fields = templateFields(template);
  const media = headerMedia(template);
  const text = renderTemplate(template, values);

  function submit(event: FormEvent) {
    event.preventDefault();
    if (media && !upload.data) return;
    const content = [text.header, text.body, text.footer].filter(Boolean).join(
      "\n",
    );
    onSubmit({
      body: {
        conversation_id: conversation.id,
        idempotency_key: crypto.randomUUID(),
        type: "template",
        template: {
          name: template.name,
          language: template.language,
          components: templateComponents(
            template,
            values,
            upload.data?.media_id,
          ),
        },
        content,
      },
      content,
    });
    onClose();
  }

  return (
    <form className="template-form" onSubmit={submit}>
      <p className="template-name">
        <strong>{template.name}</strong>
        <span className="tag">{template.language}</span>
      </p>
      {(fields.length > 0 || media) && (
        <fieldset className="template-fields">
          <legend>{texts.templates.parameters}</legend>
          {media && (
            <>
              <TextField
                label={texts.templates.headerMedia}
                type="file"
                accept={media === "document" ? "application/pdf" : `${media}/*`}
                required
                onChange={(event) => {
                  const file = event.target.files?.[0];
                  if (file) upload.mutate(file);
                }}
              />
              {upload.isError && (
                <p className="form-error" role="alert">
                  {describeError(upload.error)}
                </p>
              )}
            </>
          )}
          {fields.map((field) => (
            <TextField
              key={field.key}
              label={fieldLabel(field)}
              required
              maxLength={1024}
              value={values.get(field.key) ?? ""}
              onChange={(event) => setValues(new Map(values).set(field.key, event.target.value))}
            />
          ))}
        </fieldset>
      )}
      <div
        className="template-preview"
        role="group"
        aria-label={texts.templates.preview}
      >
        <div className="bubble">
          {text.header && <strong>{text.header}</strong>}
          <p className="bubble-text">{text.body}</p>
          {text.footer && <p className="bubble-label">{text.footer}</p>}
          {text.buttons.map((button) => (
            <span key={button} className="template-button">{button}</span>
          ))}
        </div>
      </div>
      <div className="dialog-actions">
        <Button onClick={onBack}>{texts.common.back}</Button>
        <Button type="submit" variant="primary" isBusy={upload.isPending}>
          {texts.templates.send}
        </Button>
      </div>
    </form>
  );
}

function fieldLabel(
  { part, placeholder, label }: {
    part: string;
    placeholder: string;
    label?: string | undefined;
  },
): string {
  const name = texts.templates.parameter(placeholder);
  if (part === "button") {
    return `${texts.templates.button(label ?? "")} ${name}`;
  }
  return part === "header" ? `${texts.templates.header} ${name}` : name;
}
