/**
 * The foot of a conversation: where messages are written, or why none can be.
 *
 * @module
 */

import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useApi } from "../api/context.tsx";
import { useConnections } from "../connections/use_connections.ts";
import { PAGES } from "../pages.ts";
import { texts } from "../texts.ts";
import { useCanManage, useCanWrite, useWorkspace } from "../workspace/workspace.tsx";
import { OpenComposer, type OpenComposerProps } from "./open_composer.tsx";
import { answeringQuery } from "./queries.ts";

/** The composer of a conversation. */
export function Composer(props: Omit<OpenComposerProps, "windowEndsAt">) {
  const { conversation } = props;
  const workspace = useWorkspace();
  const canWrite = useCanWrite();
  const canManage = useCanManage();
  const connections = useConnections();
  const answering = useQuery(answeringQuery(useApi(), conversation));

  if (!canWrite) return <Notice>{texts.composer.viewer}</Notice>;
  // Until the server has answered, and without a network, messages are written and wait.
  const refusal = answering.data?.refusal;
  if (refusal === "platform_without_sending") {
    return <Notice>{texts.composer.otherPlatform(texts.platforms[conversation.platform])}</Notice>;
  }
  if (refusal === "no_recipient") return <Notice>{texts.errors.codes.no_recipient}</Notice>;
  const connection = connections.data?.find(({ id }) => id === answering.data?.connection_id);
  const isReady = refusal === null && connection?.can_send;
  if (answering.isSuccess && connections.isSuccess && !isReady) {
    return (
      <Notice>
        {texts.composer.notReady}{" "}
        {canManage && (
          <a href={`#/${workspace.slug}${PAGES.connections}`}>{texts.composer.notReadyAction}</a>
        )}
      </Notice>
    );
  }
  return <OpenComposer {...props} windowEndsAt={answering.data?.window_ends_at} />;
}

function Notice({ children }: { children: ReactNode }) {
  return (
    <footer className="composer">
      <p className="composer-notice">{children}</p>
    </footer>
  );
}
