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
import { useConnectionChange } from "./use_connections.ts";

/** The form. */
export function RenameDialog({ connection, onClose }: {
  connection: Connection;
  onClose: () => void;
}) {
  const change = useConnectionChange(connection);
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const name = String(form.get("name") ?? "").trim();
    const number = String(form.get("phone_number_id") ?? "").trim() || null;
    change.mutate({
      ...(name && name !== connection.name ? { name } : {}),
      ...(connection.platform === "whatsapp" &&
          number !== connection.phone_number_id
        ? { phone_number_id: number }
        : {}),
    }, { onSuccess: onClose });
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
            defaultValue={connection.phone_number_id ?? ""}
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
