/**
 * The inbox: the list on the left, the thread beside it, the contact beside that.
 *
 * @module
 */

import { MessagesSquare } from "lucide-react";
import { useEffect } from "react";
import { useApi } from "../api/context.tsx";
import { texts } from "../texts.ts";
import { ThreadPane } from "../thread/thread_pane.tsx";
import { EmptyState } from "../ui/empty_state.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import { ConversationList } from "./conversation_list.tsx";
import { useLiveChanges } from "./use_live_changes.ts";

/** The page; `conversationId` is the one that is open. */
export function InboxPage(
  { conversationId }: { conversationId: string | undefined },
) {
  const workspace = useWorkspace();
  const { hasRealtime } = useApi();
  useLiveChanges(workspace.id, hasRealtime);
  useEffect(() => {
    document.title = `${texts.app.name} · ${workspace.name}`;
  }, [workspace.name]);
  return (
    <div className="inbox" data-open={conversationId !== undefined}>
      <h1 className="visually-hidden">{texts.app.name}</h1>
      <ConversationList selectedId={conversationId} />
      {conversationId === undefined
        ? (
          <section className="thread thread-none">
            <EmptyState
              icon={MessagesSquare}
              title={texts.thread.choose}
              hint={texts.thread.chooseHint}
            />
          </section>
        )
        : <ThreadPane key={conversationId} conversationId={conversationId} />}
    </div>
  );
}
