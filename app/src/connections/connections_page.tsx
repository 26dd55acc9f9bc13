/**
 * The connections of the workspace: their state, and what can be done with them.
 *
 * @module
 */

import { HeartPulse, Plus, Unplug } from "lucide-react";
import { useEffect, useState } from "react";
import { PAGES } from "../pages.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { EmptyState } from "../ui/empty_state.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { PageSpinner } from "../ui/spinner.tsx";
import { useCanManage, useIsOwner, useWorkspace } from "../workspace/workspace.tsx";
import { ConnectionCard } from "./connection_card.tsx";
import { NewConnectionDialog } from "./new_connection_dialog.tsx";
import { useConnections } from "./use_connections.ts";

const POLL_MS = 15_000;

/** The page. The default export, so that it is loaded when it is opened. */
export default function ConnectionsPage() {
  const workspace = useWorkspace();
  const canManage = useCanManage();
  const isOwner = useIsOwner();
  const query = useConnections(POLL_MS);
  const [isCreating, setIsCreating] = useState(false);
  useEffect(() => {
    document.title = `${texts.connections.title} · ${workspace.name}`;
  }, [workspace.name]);
  return (
    <div className="content-page">
      <header className="page-head">
        <div>
          <h1>{texts.connections.title}</h1>
          <p className="muted">{texts.connections.subtitle}</p>
          {canManage && (
            <p className="muted">
              {texts.connections.workspaceId}: <code>{workspace.id}</code>
            </p>
          )}
        </div>
        <span className="button-row">
          {isOwner && (
            <a className="button" href={`#/${workspace.slug}${PAGES.health}`}>
              <HeartPulse size={16} aria-hidden /> {texts.nav.health}
            </a>
          )}
          {canManage && (
            <Button
              variant="primary"
              icon={Plus}
              onClick={() => setIsCreating(true)}
            >
              {texts.connections.create}
            </Button>
          )}
        </span>
      </header>
      {query.isPending && <PageSpinner />}
      {query.isError && !query.data && (
        <LoadFailed
          title={texts.connections.loadFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      )}
      {query.data?.length === 0 && (
        <EmptyState
          icon={Unplug}
          title={texts.connections.emptyTitle}
          hint={canManage ? texts.connections.emptyHint : texts.connections.emptyOtherHint}
          {...(canManage && {
            action: {
              label: texts.connections.create,
              onClick: () => setIsCreating(true),
            },
          })}
        />
      )}
      <ul className="connection-list">
        {query.data?.map((connection) => (
          <li key={connection.id}>
            <ConnectionCard connection={connection} />
          </li>
        ))}
      </ul>
      {isCreating && <NewConnectionDialog onClose={() => setIsCreating(false)} />}
    </div>
  );
}
