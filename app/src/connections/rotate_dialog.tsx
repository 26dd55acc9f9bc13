/**
 * Gives a connection a new secret.
 *
 * @module
 */

import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { describeError } from "../api/api_error.ts";
import { useApi } from "../api/context.tsx";
import type { Connection } from "../api/rows.ts";
import { formatDateTime } from "../format.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/text_field.tsx";
import { Secret } from "./secret.tsx";

const DEFAULT_HOURS = 24;
const MAX_HOURS = 720;

/** Asks how long the old secret keeps working, then shows the new one. */
export function RotateDialog({ connection, onClose }: {
  connection: Connection;
  onClose: () => void;
}) {
  const api = useApi();
  const [hours, setHours] = useState(String(DEFAULT_HOURS));
  const rotate = useMutation({
    // The cache must not keep the secret.
    gcTime: 0,
    mutationFn: (graceHours: number) =>
      api.inbox<{ api_secret: string; previous_expires_at: string }>({
        method: "POST",
        path: `connections/${connection.id}/rotate`,
        body: { grace_hours: graceHours },
      }),
  });
  if (rotate.data) {
    return (
      <Dialog
        title={texts.connections.secretTitle}
        onClose={onClose}
        isDismissable={false}
      >
        <p>{texts.connections.secretHint}</p>
        <Secret
          value={rotate.data.api_secret}
          label={texts.connections.secretTitle}
        />
        <p className="muted">
          {texts.connections.previousUntil(
            formatDateTime(rotate.data.previous_expires_at),
          )}
        </p>
        <div className="dialog-actions">
          <Button variant="primary" onClick={onClose}>
            {texts.connections.done}
          </Button>
        </div>
      </Dialog>
    );
  }
  return (
    // Closing now would lose the secret.
    <Dialog
      title={texts.connections.rotateTitle}
      onClose={onClose}
      isDismissable={!rotate.isPending}
    >
      <form
        className="dialog-form"
        onSubmit={(event) => {
          event.preventDefault();
          rotate.mutate(Number(hours));
        }}
      >
        <p>{texts.connections.rotateHint}</p>
        <TextField
          label={texts.connections.graceHours}
          type="number"
          min={0}
          max={MAX_HOURS}
          value={hours}
          required
          onChange={(event) => setHours(event.target.value)}
        />
        <p className="form-error" role="alert">
          {rotate.isError && describeError(rotate.error)}
        </p>
        <div className="dialog-actions">
          <Button disabled={rotate.isPending} onClick={onClose}>{texts.common.cancel}</Button>
          <Button type="submit" variant="primary" isBusy={rotate.isPending}>
            {texts.connections.rotateConfirm}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
