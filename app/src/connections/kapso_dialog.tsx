/**
 * Stores the keys of a Kapso project. They cannot be read back.
 *
 * @module
 */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { FormEvent } from "react";
import { describeError } from "../api/api_error.ts";
import { useApi } from "../api/context.tsx";
import { refresh } from "../api/query_client.ts";
import type { Connection } from "../api/rows.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/text_field.tsx";
import { connectionKeys } from "./queries.ts";

const FIELDS = ["api_key", "webhook_secret"] as const;

/** The form. */
export function KapsoDialog({ connection, onClose }: {
  connection: Connection;
  onClose: () => void;
}) {
  const api = useApi();
  const queryClient = useQueryClient();
  const save = useMutation({
    // The cache must not keep the keys.
    gcTime: 0,
    mutationFn: (keys: Partial<Record<typeof FIELDS[number], string>>) =>
      api.inbox({
        method: "PUT",
        path: `connections/${connection.id}/kapso`,
        body: keys,
      }),
    onSuccess() {
      refresh(queryClient, connectionKeys.list(connection.workspace_id));
      refresh(queryClient, connectionKeys.webhook(connection.id));
      onClose();
    },
  });
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const keys = Object.fromEntries(
      FIELDS.map((field) => [field, String(form.get(field) ?? "").trim()])
        .filter(([, value]) => value !== ""),
    );
    if (Object.keys(keys).length === 0) onClose();
    else save.mutate(keys);
  }
  return (
    <Dialog title={texts.connections.kapsoTitle} onClose={onClose}>
      <form className="dialog-form" onSubmit={submit} autoComplete="off">
        <p>{texts.connections.kapsoHint}</p>
        <TextField
          label={texts.connections.apiKey}
          name="api_key"
          type="password"
          autoComplete="off"
          {...(connection.has_kapso_key &&
            { hint: texts.connections.apiKeyKept })}
        />
        <TextField
          label={texts.connections.webhookSecret}
          name="webhook_secret"
          type="password"
          autoComplete="off"
          hint={connection.has_webhook_secret
            ? texts.connections.webhookSecretKept
            : texts.connections.webhookSecretHint}
        />
        <p className="form-error" role="alert">
          {save.isError && describeError(save.error)}
        </p>
        <div className="dialog-actions">
          <Button onClick={onClose}>{texts.common.cancel}</Button>
          <Button type="submit" variant="primary" isBusy={save.isPending}>
            {texts.common.save}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
