/**
 * Links a conversation to a contact.
 *
 * @module
 */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link2, UserPlus } from "lucide-react";
import { useState } from "react";
import { unwrap } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
import { refresh } from "../api/query_client.ts";
import type { Conversation, Person } from "../api/rows.ts";
import { formatIdentifier } from "../format.ts";
import { conversationKeys } from "../conversations/queries.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { showError } from "../ui/toast.ts";
import { useCanWrite } from "../workspace/workspace.tsx";
import { PersonSearch } from "./person_search.tsx";

/** Adds a new contact, or links an existing one. */
export function LinkPerson({ conversation }: { conversation: Conversation }) {
  const api = useApi();
  const queryClient = useQueryClient();
  const canWrite = useCanWrite();
  const [isSearching, setIsSearching] = useState(false);
  const onSuccess = () => {
    setIsSearching(false);
    refresh(queryClient, conversationKeys.one(conversation.id));
    refresh(queryClient, conversationKeys.newest(conversation.workspace_id));
  };
  const link = useMutation({
    mutationFn: (personId: string) =>
      api.inbox<{ person: Person }>({
        method: "POST",
        path: `people/${personId}/link`,
        body: { conversation_id: conversation.id },
      }),
    onSuccess,
    onError: showError,
  });
  const add = useMutation({
    async mutationFn() {
      const identifier = formatIdentifier(conversation.participant_identifier);
      const id = crypto.randomUUID();
      const answer = await api.supabase.from("people").insert({
        id,
        workspace_id: conversation.workspace_id,
        name: conversation.participant_name,
        phone: identifier.startsWith("+") ? identifier : null,
      });
      if (answer.error) unwrap(answer);
      // A new person is linked by phone number; without one it has to be linked here.
      await api.inbox({
        method: "POST",
        path: `people/${id}/link`,
        body: { conversation_id: conversation.id },
      });
    },
    onSuccess,
    onError: showError,
  });
  return (
    <section className="contact-section">
      <h3>{texts.contact.noPerson}</h3>
      <p className="muted">{texts.contact.noPersonHint}</p>
      {canWrite && (
        <div className="button-row">
          <Button
            icon={UserPlus}
            isBusy={add.isPending}
            onClick={() => add.mutate()}
          >
            {texts.contact.add}
          </Button>
          <Button
            icon={Link2}
            variant="quiet"
            onClick={() => setIsSearching(true)}
          >
            {texts.contact.link}
          </Button>
        </div>
      )}
      {isSearching && (
        <Dialog
          title={texts.contact.link}
          onClose={() => setIsSearching(false)}
        >
          <PersonSearch
            label={texts.contact.linkSearch}
            onChoose={(person) => link.mutate(person.id)}
          />
        </Dialog>
      )}
    </section>
  );
}
