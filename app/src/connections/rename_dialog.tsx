/**
 * Changes the name of a connection and, for WhatsApp, its number.
 *
 * @module
 */

import type { FormEvent } from "react";
import type { Connection } from "../api/rows.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/text_field.tsx";
import { showToast } from "../ui/toast.ts";
import { useConnectionChange } from "./use_connections.ts";

/** The form. */
export function RenameDialog({ connection, onClose }: {
  connection: Connection;
  onClose: () => void;
}) {
  const change = useConnectionChange(connection);
  const current = connection.requested_phone_number_id ?? connection.phone_number_id;
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const name = String(form.get("name") ?? "").trim();
    const number = String(form.get("phone_number_id") ?? "").trim() || null;
    change.mutate({
      ...(name && name !== connection.name ? { name } : {}),
      ...(connection.platform === "whatsapp" &&
          number !== current
        ? { phone_number_id: number }
        : {}),
    }, {
      onSuccess({ number_problem: problem }) {
        if (problem !== null) showToast(texts.connections.numberProblems[problem]);
        onClose();
      },
    });
  }
  return (
    <Dialog title={texts.connections.rename} onClose={onClose}>
      <form className="dialog-form" onSubmit={submit}>
        <TextField
          label={texts.connections.nameLabel}
          name="name"
          defaultValue={connection.name}
          maxLength={200}
          autoFocus
          required
        />
        {connection.platform === "whatsapp" && (
          <TextField
            label={`${texts.connections.numberLabel} (${texts.common.optional})`}
            hint={texts.connections.numberHint}
            name="phone_number_id"
            inputMode="numeric"
            pattern="[0-9]{1,32}"
            defaultValue={current ?? ""}
          />
        )}
        <div className="dialog-actions">
          <Button onClick={onClose}>{texts.common.cancel}</Button>
          <Button type="submit" variant="primary" isBusy={change.isPending}>
            {texts.common.save}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
