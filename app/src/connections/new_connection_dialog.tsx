/**
 * Creates a connection and shows its secret once.
 *
 * @module
 */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useMemo, useState } from "react";
import { describeError } from "../api/api_error.ts";
import { useApi } from "../api/context.tsx";
import { refresh } from "../api/query_client.ts";
import { type Connection, type KapsoProblem, type Platform, PLATFORMS } from "../api/rows.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { CopyButton } from "../ui/copy_button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { SelectField } from "../ui/select_field.tsx";
import { TextField } from "../ui/text_field.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import { connectionKeys } from "./queries.ts";
import { Secret } from "./secret.tsx";

const PLATFORM_OPTIONS = PLATFORMS.map((platform) => ({
  value: platform,
  label: texts.platforms[platform],
}));

interface NewConnection {
  connection: Connection;
  api_secret: string;
  number_problem: KapsoProblem | null;
}

/** The form, then the secret. */
export function NewConnectionDialog({ onClose }: { onClose: () => void }) {
  const api = useApi();
  const workspace = useWorkspace();
  const queryClient = useQueryClient();
  const [platform, setPlatform] = useState<Platform>("whatsapp");
  const [name, setName] = useState("");
  const [typedId, setTypedId] = useState<string>();
  const create = useMutation({
    // The cache must not keep the secret.
    gcTime: 0,
    mutationFn: (body: object) =>
      api.inbox<NewConnection>({
        method: "POST",
        path: "connections",
        body,
      }),
    onSuccess: () => refresh(queryClient, connectionKeys.list(workspace.id)),
  });
  const connectionId = typedId ?? suggestId(platform, name);
  const command = useMemo(() => create.data && curlCommand(create.data, api.url), [
    create.data,
    api.url,
  ]);

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const number = String(
      new FormData(event.currentTarget).get("phone_number_id") ?? "",
    ).trim();
    create.mutate({
      workspace_id: workspace.id,
      platform,
      connection_id: connectionId,
      ...(name.trim() ? { name: name.trim() } : {}),
      ...(number ? { phone_number_id: number } : {}),
    });
  }

  if (create.data) {
    return (
      <Dialog
        title={texts.connections.secretTitle}
        onClose={onClose}
        isDismissable={false}
      >
        {create.data.number_problem && (
          <p className="form-error" role="alert">
            {texts.connections.createdWithoutNumber}{" "}
            {texts.connections.numberProblems[create.data.number_problem]}
          </p>
        )}
        <p>{texts.connections.secretHint}</p>
        <Secret value={create.data.api_secret} label={texts.connections.secretTitle} />
        <div className="snippet-head">
          <p className="muted">{texts.connections.secretUse}</p>
          <CopyButton text={command ?? ""} what={texts.connections.command} />
        </div>
        <pre
          className="snippet"
          role="region"
          aria-label={texts.connections.command}
          tabIndex={0}
        >{command}</pre>
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
      title={texts.connections.newTitle}
      onClose={onClose}
      isDismissable={!create.isPending}
    >
      <form className="dialog-form" onSubmit={submit}>
        <SelectField
          label={texts.connections.platform}
          options={PLATFORM_OPTIONS}
          value={platform}
          onChange={setPlatform}
        />
        <TextField
          label={texts.connections.nameLabel}
          placeholder={texts.connections.namePlaceholder}
          value={name}
          maxLength={200}
          autoFocus
          required
          onChange={(event) => setName(event.target.value)}
        />
        <TextField
          label={texts.connections.idLabel}
          hint={texts.connections.idHint}
          value={connectionId}
          maxLength={128}
          pattern="[A-Za-z0-9][A-Za-z0-9_.\-]*"
          required
          onChange={(event) => setTypedId(event.target.value)}
        />
        {platform === "whatsapp" && (
          <TextField
            label={`${texts.connections.numberLabel} (${texts.common.optional})`}
            hint={texts.connections.numberHint}
            name="phone_number_id"
            inputMode="numeric"
            pattern="[0-9]{1,32}"
          />
        )}
        <p className="form-error" role="alert">
          {create.isError && describeError(create.error)}
        </p>
        <div className="dialog-actions">
          <Button disabled={create.isPending} onClick={onClose}>{texts.common.cancel}</Button>
          <Button type="submit" variant="primary" isBusy={create.isPending}>
            {texts.connections.createConfirm}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function suggestId(platform: Platform, name: string): string {
  const word = name.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "").slice(0, 60);
  return word === "" ? "" : `${platform}_${word}`;
}

/** A command that sends a first message, as the bridge would. */
function curlCommand(
  { connection, api_secret }: Pick<NewConnection, "connection" | "api_secret">,
  url: string,
): string {
  const body = {
    platform: connection.platform,
    connection_id: connection.connection_id,
    conversations: [{
      external_conversation_id: "chat_1",
      participant_identifier: "+1234567890",
      participant_name: "John Doe",
      messages: [{
        id: "msg_1",
        direction: "inbound",
        type: "text",
        content: "Hello!",
        sent_at: new Date().toISOString(),
      }],
    }],
  };
  return `curl ${url}/functions/v1/messaging-ingest \\
  -H 'content-type: application/json' \\
  -H 'x-api-key: ${api_secret}' \\
  -d '${JSON.stringify(body)}'`;
}
