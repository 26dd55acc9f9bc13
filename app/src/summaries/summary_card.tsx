/**
 * The summary of a person's day.
 *
 * @module
 */

import { personName } from "../format.ts";
import { PAGES } from "../pages.ts";
import { texts } from "../texts.ts";
import { Avatar } from "../ui/avatar.tsx";
import { PlatformIcon } from "../ui/platform_icon.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import type { PersonConversation, PersonSummary } from "./queries.ts";
import { SummaryFacts, SummaryTags } from "./summary_facts.tsx";

/** Name, counts, text, and links to the conversations. */
export function SummaryCard({ note, conversations }: {
  note: PersonSummary;
  conversations: PersonConversation[];
}) {
  const workspace = useWorkspace();
  const name = personName(note.people);
  return (
    <article className="summary" aria-label={name}>
      <Avatar name={name} size="small" />
      <div className="summary-body">
        <div className="summary-head">
          <h3>{name}</h3>
          <SummaryTags metadata={note.metadata} />
        </div>
        <SummaryFacts metadata={note.metadata} />
        {/* Plain text: it may quote customers. */}
        <p className="summary-text">{note.content}</p>
        <p className="summary-links">
          {conversations.map(({ id, platform }) => (
            <a key={id} href={`#/${workspace.slug}${PAGES.inbox}/${id}`}>
              <PlatformIcon platform={platform} /> {conversations.length === 1
                ? texts.summaries.openConversation
                : texts.summaries.openOn(texts.platforms[platform])}
            </a>
          ))}
        </p>
      </div>
    </article>
  );
}
