/**
 * The contact of a conversation: names, numbers, notes, and other conversations.
 *
 * @module
 */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { X } from "lucide-react";
import { useEffect, useRef } from "react";
import { useApi } from "../api/context.tsx";
import type { Conversation } from "../api/rows.ts";
import { conversationName, formatAgo, formatDateTime, formatIdentifier } from "../format.ts";
import { texts } from "../texts.ts";
import { Avatar } from "../ui/avatar.tsx";
import { IconButton } from "../ui/icon_button.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { PlatformIcon } from "../ui/platform_icon.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { useCanWrite } from "../workspace/workspace.tsx";
import { LinkPerson } from "./link_person.tsx";
import { MergePeople } from "./merge_people.tsx";
import { PersonConversations } from "./person_conversations.tsx";
import { PersonForm } from "./person_form.tsx";
import { PersonNotes } from "./person_notes.tsx";
import { PersonSummaries } from "./person_summaries.tsx";
import { personQuery, refreshPerson } from "./queries.ts";

/** As in contact.css: here the panel covers the thread. */
const OVER_THREAD = "(max-width: 1199px)";

/** The panel beside a thread. */
export function ContactPanel({ conversation, onClose }: {
  conversation: Conversation;
  onClose: () => void;
}) {
  const name = conversationName(conversation);
  const closeButton = useRef<HTMLButtonElement>(null);
  // Where the panel covers the thread, the focus moves into it and back.
  useEffect(() => {
    if (!matchMedia(OVER_THREAD).matches) return;
    const before = document.activeElement;
    closeButton.current?.focus();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <aside
      className="contact"
      aria-label={texts.contact.label}
      // Captured, because a tooltip of a button in here would take the key for itself.
      onKeyDownCapture={({ key, target }) => {
        const isHere = !(target as Element).closest("[role=dialog]");
        if (key === "Escape" && isHere && matchMedia(OVER_THREAD).matches) onClose();
      }}
    >
      <header className="contact-head">
        <h2>{texts.contact.label}</h2>
        <IconButton
          label={texts.thread.hideContact}
          icon={X}
          ref={closeButton}
          onClick={onClose}
        />
      </header>
      <div className="contact-name">
        <Avatar name={name} size="large" />
        <p className="contact-title">{name}</p>
        <p className="muted">
          <PlatformIcon platform={conversation.platform} /> {texts.platforms[conversation.platform]}
          {" "}
          · {formatIdentifier(conversation.participant_identifier)}
        </p>
      </div>
      {conversation.person_id === null ? <LinkPerson conversation={conversation} /> : (
        <PersonDetails
          personId={conversation.person_id}
          conversation={conversation}
        />
      )}
      <section className="contact-section">
        <h3>{texts.contact.details}</h3>
        <dl className="facts">
          <dt>{texts.contact.status}</dt>
          <dd>{texts.list.status[conversation.status]}</dd>
          <dt>{texts.contact.messages}</dt>
          <dd>{conversation.message_count.toLocaleString()}</dd>
          <dt>{texts.contact.lastActivity}</dt>
          <dd>
            <time
              dateTime={conversation.activity_at}
              title={formatDateTime(conversation.activity_at)}
            >
              {formatAgo(conversation.activity_at)}
            </time>
          </dd>
        </dl>
      </section>
    </aside>
  );
}

function PersonDetails({ personId, conversation }: {
  personId: string;
  conversation: Conversation;
}) {
  const api = useApi();
  const queryClient = useQueryClient();
  const canWrite = useCanWrite();
  const query = useQuery(personQuery(api, personId));
  if (query.isPending) {
    return (
      <p className="contact-section" role="status">
        <Spinner /> <span className="visually-hidden">{texts.app.loading}</span>
      </p>
    );
  }
  if (!query.data) {
    return (
      <LoadFailed
        title={texts.contact.loadFailed}
        error={query.error}
        onRetry={() => query.refetch()}
      />
    );
  }
  if (!query.data.person) return null;
  const { person, identities } = query.data;
  const onChanged = () => refreshPerson(queryClient, personId);
  return (
    <>
      <PersonForm person={person} canWrite={canWrite} onSaved={onChanged} />
      {identities.length > 0 && (
        <section className="contact-section">
          <h3>{texts.contact.identities}</h3>
          <ul className="identities">
            {identities.map((identity) => (
              <li key={identity.id}>
                <PlatformIcon platform={identity.platform} />
                <span className="visually-hidden">
                  {texts.platforms[identity.platform]}:
                </span>
                <span className="identifier">
                  {formatIdentifier(identity.identifier)}
                </span>
              </li>
            ))}
          </ul>
        </section>
      )}
      <PersonNotes person={person} canWrite={canWrite} />
      <PersonSummaries personId={person.id} />
      <PersonConversations personId={person.id} currentId={conversation.id} />
      {canWrite && <MergePeople person={person} onChanged={onChanged} />}
    </>
  );
}
