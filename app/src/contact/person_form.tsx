/**
 * Name, phone number and email of a person, to read and to edit.
 *
 * @module
 */

import { useMutation } from "@tanstack/react-query";
import { Pencil } from "lucide-react";
import { type FormEvent, useState } from "react";
import { describeError } from "../api/api_error.ts";
import { useApi } from "../api/context.tsx";
import type { Person } from "../api/rows.ts";
import { formatAgo } from "../format.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { TextField } from "../ui/text_field.tsx";

/** What can be changed. */
const FIELDS = ["name", "phone", "email"] as const;

/** The facts, or the form. */
export function PersonForm({ person, canWrite, onSaved }: {
  person: Person;
  canWrite: boolean;
  onSaved: () => void;
}) {
  const api = useApi();
  const [isEditing, setIsEditing] = useState(false);
  const save = useMutation({
    mutationFn: (changed: Partial<Pick<Person, typeof FIELDS[number]>>) =>
      api.inbox({
        method: "PATCH",
        path: `people/${person.id}`,
        body: changed,
      }),
    onSuccess() {
      onSaved();
      setIsEditing(false);
    },
  });

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    // Only changed fields: another user may be editing the others.
    const changed = Object.fromEntries(
      FIELDS.map((field) => [field, String(form.get(field) ?? "").trim() || null] as const)
        .filter(([field, value]) => value !== person[field]),
    );
    if (Object.keys(changed).length === 0) setIsEditing(false);
    else save.mutate(changed);
  }

  if (isEditing) {
    return (
      <form className="contact-section contact-form" onSubmit={submit}>
        <TextField
          label={texts.contact.name}
          name="name"
          defaultValue={person.name ?? ""}
          maxLength={300}
          autoFocus
        />
        <TextField
          label={texts.contact.phone}
          name="phone"
          type="tel"
          defaultValue={person.phone ?? ""}
          maxLength={64}
        />
        <TextField
          label={texts.contact.email}
          name="email"
          type="email"
          defaultValue={person.email ?? ""}
          maxLength={320}
        />
        <p className="form-error" role="alert">
          {save.isError && describeError(save.error)}
        </p>
        <div className="dialog-actions">
          <Button onClick={() => setIsEditing(false)}>
            {texts.common.cancel}
          </Button>
          <Button type="submit" variant="primary" isBusy={save.isPending}>
            {texts.common.save}
          </Button>
        </div>
      </form>
    );
  }
  return (
    <section className="contact-section">
      <div className="section-head">
        <h3>{texts.contact.label}</h3>
        {canWrite && (
          <button
            type="button"
            className="link-button"
            onClick={() => setIsEditing(true)}
          >
            <Pencil size={13} aria-hidden /> {texts.common.edit}
          </button>
        )}
      </div>
      <dl className="facts">
        <dt>{texts.contact.name}</dt>
        <dd>{person.name ?? texts.contact.unnamed}</dd>
        {person.kapso_name && person.kapso_name !== person.name && (
          <>
            <dt>{texts.contact.whatsappName}</dt>
            <dd>{person.kapso_name}</dd>
          </>
        )}
        {person.phone && (
          <>
            <dt>{texts.contact.phone}</dt>
            <dd>{person.phone}</dd>
          </>
        )}
        {person.email && (
          <>
            <dt>{texts.contact.email}</dt>
            <dd>
              <a
                href={`mailto:${encodeURIComponent(person.email).replace("%40", "@")}`}
              >
                {person.email}
              </a>
            </dd>
          </>
        )}
        <dt>{texts.contact.lastActivity}</dt>
        <dd>{formatAgo(person.last_activity_at)}</dd>
      </dl>
    </section>
  );
}
