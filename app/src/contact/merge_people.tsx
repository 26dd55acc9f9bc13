/**
 * Merges two contacts, and undoes merges.
 *
 * @module
 */

import { useMutation, useQuery } from "@tanstack/react-query";
import { Merge, Undo2 } from "lucide-react";
import { useState } from "react";
import { describeError } from "../api/api_error.ts";
import { useApi } from "../api/context.tsx";
import type { Person, PersonMerge } from "../api/rows.ts";
import { formatDateTime, personName } from "../format.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { showError, showToast } from "../ui/toast.ts";
import { PersonSearch } from "./person_search.tsx";
import { personMergesQuery } from "./queries.ts";

/** The button, its dialog, and the merge that can be undone. */
export function MergePeople(
  { person, onChanged }: { person: Person; onChanged: () => void },
) {
  const api = useApi();
  const [isOpen, setIsOpen] = useState(false);
  const [other, setOther] = useState<Person>();
  const merges = useQuery(personMergesQuery(api, person.id));
  const undo = useMutation({
    mutationFn: (id: string) =>
      api.inbox({ method: "POST", path: `people/merges/${id}/undo`, body: {} }),
    onSuccess: onChanged,
    onError: showError,
  });
  const merge = useMutation({
    mutationFn: (mergeId: string) =>
      api.inbox<{ merge: PersonMerge }>({
        method: "POST",
        path: "people/merge",
        body: { keep_id: person.id, merge_id: mergeId },
      }),
    onSuccess({ merge }) {
      close();
      onChanged();
      showToast(texts.contact.merges, {
        label: texts.common.undo,
        onClick: () => undo.mutate(merge.id),
      });
    },
  });
  function close() {
    setIsOpen(false);
    setOther(undefined);
    merge.reset();
  }
  return (
    <section className="contact-section">
      <Button icon={Merge} variant="quiet" onClick={() => setIsOpen(true)}>
        {texts.contact.merge}
      </Button>
      {/* Merges are undone in the opposite order, so only the last one is offered. */}
      {merges.data?.slice(0, 1).map((merge) => (
        <p key={merge.id} className="note-meta">
          {texts.contact.merges} · {formatDateTime(merge.created_at)}{" "}
          <button
            type="button"
            className="link-button"
            disabled={undo.isPending}
            onClick={() => undo.mutate(merge.id)}
          >
            <Undo2 size={13} aria-hidden /> {texts.contact.undoMerge}
          </button>
        </p>
      ))}
      {isOpen && (
        <Dialog title={texts.contact.mergeTitle} onClose={close}>
          <p>{texts.contact.mergeHint(personName(person))}</p>
          {other
            ? (
              <>
                <p className="merge-pair">
                  <strong>{personName(other)}</strong> → <strong>{personName(person)}</strong>
                </p>
                <p className="form-error" role="alert">
                  {merge.isError && describeError(merge.error)}
                </p>
                <div className="dialog-actions">
                  <Button onClick={() => setOther(undefined)}>
                    {texts.common.back}
                  </Button>
                  <Button
                    variant="primary"
                    isBusy={merge.isPending}
                    onClick={() => merge.mutate(other.id)}
                  >
                    {texts.contact.mergeConfirm}
                  </Button>
                </div>
              </>
            )
            : (
              <PersonSearch
                label={texts.contact.mergeSearch}
                exceptId={person.id}
                onChoose={setOther}
              />
            )}
        </Dialog>
      )}
    </section>
  );
}
