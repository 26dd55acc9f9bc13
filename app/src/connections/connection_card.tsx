/**
 * One connection: its state, and what can be changed.
 *
 * @module
 */

import { KeyRound, Pencil, Power, PowerOff, Settings2 } from "lucide-react";
import { useState } from "react";
import type { Connection } from "../api/rows.ts";
import { formatDuration } from "../format.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Fact, Moment } from "../ui/fact.tsx";
import { PlatformIcon } from "../ui/platform_icon.tsx";
import { useCanManage } from "../workspace/workspace.tsx";
import { Backfill } from "./backfill.tsx";
import { KapsoDialog } from "./kapso_dialog.tsx";
import { RenameDialog } from "./rename_dialog.tsx";
import { RotateDialog } from "./rotate_dialog.tsx";
import { useConnectionChange } from "./use_connections.ts";
import { Webhook } from "./webhook.tsx";

type OpenDialog = "rename" | "rotate" | "kapso" | "switch-off";

/** The card. */
export function ConnectionCard({ connection }: { connection: Connection }) {
  const canManage = useCanManage();
  const [dialog, setDialog] = useState<OpenDialog>();
  const close = () => setDialog(undefined);
  const change = useConnectionChange(connection);
  const requested = connection.requested_phone_number_id;
  const isKapso = connection.platform === "whatsapp" &&
    (connection.phone_number_id ?? requested) !== null;
  return (
    <article
      className="connection"
      aria-labelledby={`connection-${connection.id}`}
    >
      <header className="connection-head">
        <PlatformIcon platform={connection.platform} />
        <h2 id={`connection-${connection.id}`}>{connection.name}</h2>
        {connection.name !== texts.platforms[connection.platform] && (
          <span className="muted">{texts.platforms[connection.platform]}</span>
        )}
        <StateTag connection={connection} />
      </header>
      <dl className="connection-facts">
        <Fact name={texts.connections.id}>
          <code>{connection.connection_id}</code>
        </Fact>
        {connection.phone_number_id && (
          <Fact name={texts.connections.number}>
            <code>{connection.phone_number_id}</code>
          </Fact>
        )}
        {requested && (
          <Fact name={texts.connections.requestedNumber}>
            <code>{requested}</code>
          </Fact>
        )}
        <Fact name={texts.connections.lastSync}>
          <Moment at={connection.last_synced_at} />
        </Fact>
        <Fact name={texts.connections.lag}>
          {connection.lag_seconds === null ? "–" : formatDuration(connection.lag_seconds)}
        </Fact>
        {isKapso && (
          <Fact name={texts.connections.lastEvent}>
            <Moment at={connection.last_event_at} />
          </Fact>
        )}
        {isKapso && (
          <Fact name={texts.connections.events}>
            <Events connection={connection} />
          </Fact>
        )}
        <Fact name={texts.connections.sending}>
          {connection.platform !== "whatsapp"
            ? texts.connections.receiveOnly
            : connection.can_send
            ? texts.connections.canSend
            : texts.connections.cannotSend}
        </Fact>
      </dl>
      {isKapso && (
        <div className="connection-kapso">
          {canManage && <Webhook connection={connection} />}
          {connection.phone_number_id !== null && <Backfill connection={connection} />}
        </div>
      )}
      {canManage && (
        <footer className="connection-actions">
          <Button
            icon={Pencil}
            variant="quiet"
            onClick={() => setDialog("rename")}
          >
            {texts.connections.rename}
          </Button>
          <Button
            icon={KeyRound}
            variant="quiet"
            onClick={() => setDialog("rotate")}
          >
            {texts.connections.rotate}
          </Button>
          {connection.platform === "whatsapp" && (
            <Button
              icon={Settings2}
              variant="quiet"
              onClick={() => setDialog("kapso")}
            >
              {texts.connections.kapso}
            </Button>
          )}
          {connection.is_active
            ? (
              <Button
                icon={PowerOff}
                variant="quiet"
                onClick={() => setDialog("switch-off")}
              >
                {texts.connections.switchOff}
              </Button>
            )
            : (
              <Button
                icon={Power}
                variant="quiet"
                isBusy={change.isPending}
                onClick={() => change.mutate({ is_active: true })}
              >
                {texts.connections.switchOn}
              </Button>
            )}
        </footer>
      )}
      {dialog === "rename" && <RenameDialog connection={connection} onClose={close} />}
      {dialog === "rotate" && <RotateDialog connection={connection} onClose={close} />}
      {dialog === "kapso" && <KapsoDialog connection={connection} onClose={close} />}
      {dialog === "switch-off" && (
        <Dialog title={texts.connections.switchOff} onClose={close}>
          <p>{texts.connections.switchOffConfirm(connection.name)}</p>
          <div className="dialog-actions">
            <Button onClick={close}>{texts.common.cancel}</Button>
            <Button
              variant="danger"
              isBusy={change.isPending}
              onClick={() => change.mutate({ is_active: false }, { onSettled: close })}
            >
              {texts.connections.switchOff}
            </Button>
          </div>
        </Dialog>
      )}
    </article>
  );
}

function StateTag({ connection }: { connection: Connection }) {
  if (!connection.is_active) {
    return <span className="tag" data-tone="bad">{texts.connections.off}</span>;
  }
  // A connection without any message is new, not silent.
  if (connection.is_silent && connection.last_synced_at !== null) {
    return (
      <span className="tag" data-tone="warning">
        {texts.connections.silent}
      </span>
    );
  }
  return <span className="tag" data-tone="good">{texts.connections.active}</span>;
}

function Events({ connection }: { connection: Connection }) {
  const { failed_events: failed } = connection;
  if (failed === 0) return texts.connections.eventsFine;
  return <span className="tag" data-tone="bad">{texts.connections.eventsFailed(failed)}</span>;
}
