/**
 * The inbox: the list on the left, the conversation beside it, the contact beside that.
 *
 * @module
 */

import { MessagesSquare } from "lucide-react";
import { useEffect } from "react";
import { texts } from "../texts.ts";
import { EmptyState } from "../ui/empty_state.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import { ConversationList } from "./conversation_list.tsx";
import { ConversationPane } from "./conversation_pane.tsx";
import { useLiveChanges } from "./use_live_changes.ts";

/** The page; `conversationId` is the one that is open. */
export function InboxPage({ conversationId }: { conversationId: string | undefined }) {
  const workspace = useWorkspace();
  useLiveChanges(workspace.id);
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
        : <ConversationPane key={conversationId} conversationId={conversationId} />}
    </div>
  );
}
