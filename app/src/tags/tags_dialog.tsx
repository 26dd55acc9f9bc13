/**
 * Creates, changes and deletes the tags of a workspace.
 *
 * @module
 */

import { type FormEvent, useRef, useState } from "react";
import { describeRefusal } from "../api/api_error.ts";
import type { Tag, TagColour } from "../api/rows.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { ManagedList } from "../ui/managed_list.tsx";
import { SelectField } from "../ui/select_field.tsx";
import { TextField } from "../ui/text_field.tsx";
import { TagChip } from "./tag_chips.tsx";
import { useDeleteTag, useSaveTag, useTags } from "./use_tags.ts";

const COLOUR_OPTIONS = Object.entries(texts.tags.colours).map(([colour, label]) => ({
  value: colour as TagColour,
  label,
}));
const NEW = { id: undefined, name: "", colour: "teal" } as const;

/** The dialog, for owners and admins. The default export, so that it is loaded when it is opened. */
export default function TagsDialog({ onClose }: { onClose: () => void }) {
  const { query, tags } = useTags();
  const save = useSaveTag();
  const remove = useDeleteTag();
  const [edited, setEdited] = useState<Omit<Tag, "id"> & { id: string | undefined }>(NEW);
  const form = useRef<HTMLFormElement>(null);
  const error = save.error ?? remove.error;

  function edit(values: typeof edited) {
    setEdited(values);
    save.reset();
    remove.reset();
    form.current?.querySelector("input")?.focus();
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    const name = edited.name.trim();
    if (name !== "") save.mutate({ ...edited, name }, { onSuccess: () => edit(NEW) });
  }

  return (
    <Dialog title={texts.tags.manage} onClose={onClose}>
      <p className="muted">{texts.tags.manageHint}</p>
      {query.isError && (
        <LoadFailed
          title={texts.tags.loadFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      )}
      <ManagedList
        label={texts.tags.title}
        items={[...tags.values()]}
        render={(tag) => <TagChip tag={tag} />}
        editLabel={({ name }) => texts.tags.edit(name)}
        onEdit={edit}
        deleteLabel={({ name }) => texts.tags.delete(name)}
        deleteQuestion={({ name }) => texts.tags.deleteConfirm(name)}
        onDelete={({ id }) => {
          save.reset();
          remove.mutate(id, { onSuccess: () => id === edited.id && edit(NEW) });
        }}
        isDeleting={remove.isPending}
      />
      <form className="dialog-form" ref={form} onSubmit={submit}>
        <div className="tag-form">
          <TextField
            label={texts.tags.name}
            value={edited.name}
            maxLength={40}
            required
            autoFocus
            onChange={(event) => setEdited({ ...edited, name: event.target.value })}
          />
          <SelectField
            label={texts.tags.colour}
            options={COLOUR_OPTIONS}
            value={edited.colour}
            onChange={(colour) => setEdited({ ...edited, colour })}
          />
        </div>
        {error && (
          <p className="form-error" role="alert">
            {describeRefusal(error, { "23505": texts.tags.nameTaken, PT422: texts.tags.tooMany })}
          </p>
        )}
        <div className="dialog-actions">
          {edited.id !== undefined && (
            <Button onClick={() => edit(NEW)}>{texts.common.cancel}</Button>
          )}
          <Button type="submit" variant="primary" isBusy={save.isPending}>
            {edited.id === undefined ? texts.tags.add : texts.common.save}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
