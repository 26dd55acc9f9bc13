/**
 * The foot of a conversation: where messages are written, or why none can be.
 *
 * @module
 */

import type { ReactNode } from "react";
import { useConnections } from "../connections/use_connections.ts";
import { PAGES } from "../pages.ts";
import { texts } from "../texts.ts";
import { useCanManage, useCanWrite, useWorkspace } from "../workspace/workspace.tsx";
import { OpenComposer, type OpenComposerProps } from "./open_composer.tsx";

/** The composer of a conversation. */
export function Composer(props: OpenComposerProps) {
  const { conversation } = props;
  const workspace = useWorkspace();
  const canWrite = useCanWrite();
  const canManage = useCanManage();
  const connections = useConnections();
  const connection = connections.data?.find(({ id }) => id === conversation.connection_id);

  if (!canWrite) return <Notice>{texts.composer.viewer}</Notice>;
  if (conversation.platform !== "whatsapp") {
    return <Notice>{texts.composer.otherPlatform(texts.platforms[conversation.platform])}</Notice>;
  }
  if (connections.isSuccess && !connection?.can_send) {
    return (
      <Notice>
        {texts.composer.notReady}{" "}
        {canManage && (
          <a href={`#/${workspace.slug}${PAGES.connections}`}>{texts.composer.notReadyAction}</a>
        )}
      </Notice>
    );
  }
  return <OpenComposer {...props} />;
}

function Notice({ children }: { children: ReactNode }) {
  return (
    <footer className="composer">
      <p className="composer-notice">{children}</p>
    </footer>
  );
}
