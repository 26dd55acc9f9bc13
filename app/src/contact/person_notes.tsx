/**
 * Notes about a person, which only the team sees.
 *
 * @module
 */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Trash2 } from "lucide-react";
import { type FormEvent, useState } from "react";
import { unwrap } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
import { refresh } from "../api/query_client.ts";
import type { Person } from "../api/rows.ts";
import { formatDateTime } from "../format.ts";
import { useUser } from "../session/session.tsx";
import { texts } from "../texts.ts";
import { LinkedText } from "../ui/linked_text.tsx";
import { Button } from "../ui/button.tsx";
import { IconButton } from "../ui/icon_button.tsx";
import { showError } from "../ui/toast.ts";
import { memberName, useCanManage, useMembers } from "../workspace/workspace.tsx";
import { contactKeys, personNotesQuery } from "./queries.ts";

/** The notes, newest first, and a field for another one. */
export function PersonNotes(
  { person, canWrite }: { person: Person; canWrite: boolean },
) {
  const api = useApi();
  const queryClient = useQueryClient();
  const user = useUser();
  const canManage = useCanManage();
  const members = useMembers();
  const [text, setText] = useState("");
  const notes = useQuery(personNotesQuery(api, person.id));
  const refreshNotes = () => refresh(queryClient, contactKeys.notes(person.id));
  const add = useMutation({
    mutationFn: async (content: string) => {
      const answer = await api.supabase.from("person_notes")
        .insert({
          workspace_id: person.workspace_id,
          person_id: person.id,
          content,
        });
      if (answer.error) unwrap(answer);
    },
    onSuccess() {
      setText("");
      refreshNotes();
    },
    onError: showError,
  });
  const remove = useMutation({
    mutationFn: async (id: string) => {
      const answer = await api.supabase.from("person_notes").delete().eq("id", id);
      if (answer.error) unwrap(answer);
    },
    onSuccess: refreshNotes,
    onError: showError,
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    if (text.trim() !== "") add.mutate(text.trim());
  }

  return (
    <section className="contact-section">
      <h3>{texts.contact.notes}</h3>
      {canWrite && (
        <form className="note-form" onSubmit={submit}>
          <textarea
            className="input"
            rows={2}
            aria-label={texts.contact.addNote}
            placeholder={texts.contact.notePlaceholder}
            value={text}
            maxLength={10_000}
            onChange={(event) => setText(event.target.value)}
          />
          {text.trim() !== "" && (
            <Button type="submit" isBusy={add.isPending}>
              {texts.contact.addNote}
            </Button>
          )}
        </form>
      )}
      {notes.data?.length === 0 && !canWrite && <p className="muted">{texts.contact.noNotes}</p>}
      <ul className="notes">
        {notes.data?.map((note) => (
          <li key={note.id} className="note">
            <p className="bubble-text">
              <LinkedText text={note.content} />
            </p>
            <p className="note-meta">
              {note.created_by === user.id ? texts.common.you : memberName(
                members.find((member) => member.user_id === note.created_by),
              )}
              {" · "}
              <time dateTime={note.created_at}>
                {formatDateTime(note.created_at)}
              </time>
              {canWrite && (note.created_by === user.id || canManage) && (
                <IconButton
                  label={texts.common.delete}
                  icon={Trash2}
                  size={14}
                  disabled={remove.isPending}
                  onClick={() => remove.mutate(note.id)}
                />
              )}
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}
