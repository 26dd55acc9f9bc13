/**
 * Creates, changes and deletes the canned replies of a workspace.
 *
 * @module
 */

import { Plus } from "lucide-react";
import { type FormEvent, useId, useState } from "react";
import { describeRefusal } from "../api/api_error.ts";
import type { CannedReply } from "../api/rows.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { ManagedList } from "../ui/managed_list.tsx";
import { PageSpinner } from "../ui/spinner.tsx";
import { TextField } from "../ui/text_field.tsx";
import { findReplies } from "./canned_reply.ts";
import { useDeleteReply, useReplies, useSaveReply } from "./use_replies.ts";

type Edited = Omit<CannedReply, "id"> & { id: string | undefined };

const NEW: Edited = { id: undefined, shortcut: "", title: "", content: "" };

/** The dialog, for owners and admins. The default export, so that it is loaded when it is opened. */
export default function RepliesDialog({ onClose }: { onClose: () => void }) {
  const replies = useReplies(true);
  const remove = useDeleteReply();
  const [search, setSearch] = useState("");
  const [edited, setEdited] = useState<Edited>();
  const found = findReplies(replies.data ?? [], search);
  return (
    <Dialog
      title={texts.replies.manage}
      size="large"
      onClose={onClose}
      isDismissable={edited === undefined}
    >
      {edited ? <ReplyForm reply={edited} onDone={() => setEdited(undefined)} /> : (
        <>
          <p className="muted">{texts.replies.manageHint}</p>
          {replies.isPending && <PageSpinner />}
          {replies.isError && (
            <LoadFailed
              title={texts.replies.loadFailed}
              error={replies.error}
              onRetry={() => replies.refetch()}
            />
          )}
          {replies.data && replies.data.length > 5 && (
            <input
              className="input"
              type="search"
              aria-label={texts.replies.search}
              placeholder={texts.replies.search}
              value={search}
              onChange={(event) => setSearch(event.target.value)}
            />
          )}
          {replies.data?.length === 0 && <p>{texts.replies.none}</p>}
          <ManagedList
            label={texts.replies.title}
            items={found}
            render={(reply) => (
              <>
                <p>
                  <strong>{reply.title}</strong> <code>/{reply.shortcut}</code>
                </p>
                <p className="reply-text">{reply.content}</p>
              </>
            )}
            editLabel={({ title }) => texts.replies.edit(title)}
            onEdit={setEdited}
            deleteLabel={({ title }) => texts.replies.delete(title)}
            deleteQuestion={({ title }) => texts.replies.deleteConfirm(title)}
            onDelete={({ id }) => remove.mutate(id)}
            isDeleting={remove.isPending}
          />
          {remove.error && (
            <p className="form-error" role="alert">{describeRefusal(remove.error, {})}</p>
          )}
          <div className="dialog-actions">
            <Button variant="primary" icon={Plus} onClick={() => setEdited(NEW)}>
              {texts.replies.add}
            </Button>
          </div>
        </>
      )}
    </Dialog>
  );
}

function ReplyForm({ reply, onDone }: { reply: Edited; onDone: () => void }) {
  const save = useSaveReply();
  const [values, setValues] = useState(reply);
  const id = useId();
  function submit(event: FormEvent) {
    event.preventDefault();
    save.mutate({
      ...values,
      title: values.title.trim(),
      content: values.content.trim(),
    }, { onSuccess: onDone });
  }
  return (
    <form className="dialog-form" onSubmit={submit}>
      <TextField
        label={texts.replies.replyTitle}
        value={values.title}
        maxLength={60}
        pattern=".*\S.*"
        required
        autoFocus
        onChange={(event) => setValues({ ...values, title: event.target.value })}
      />
      <TextField
        label={texts.replies.shortcut}
        hint={texts.replies.shortcutHint}
        value={values.shortcut}
        maxLength={40}
        pattern="[^\s\/]+"
        title={texts.replies.shortcutInvalid}
        autoCapitalize="none"
        required
        onChange={(event) => setValues({ ...values, shortcut: event.target.value })}
      />
      <div className="field">
        <label htmlFor={id}>{texts.replies.content}</label>
        <textarea
          id={id}
          className="input reply-field"
          rows={6}
          maxLength={4096}
          required
          aria-describedby={`${id}-hint`}
          value={values.content}
          onChange={(event) => setValues({ ...values, content: event.target.value })}
        />
        <p className="field-hint" id={`${id}-hint`}>{texts.replies.contentHint}</p>
      </div>
      {save.error && (
        <p className="form-error" role="alert">
          {describeRefusal(save.error, {
            "23505": texts.replies.shortcutTaken,
            PT422: texts.replies.tooMany,
          })}
        </p>
      )}
      <div className="dialog-actions">
        <Button onClick={onDone}>{texts.common.cancel}</Button>
        <Button
          type="submit"
          variant="primary"
          isBusy={save.isPending}
          disabled={values.content.trim() === ""}
        >
          {texts.common.save}
        </Button>
      </div>
    </form>
  );
}
