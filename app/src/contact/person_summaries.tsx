/**
 * The daily summaries about a person.
 *
 * @module
 */

import { PAGES } from "../pages.ts";
import { formatCalendarDay } from "../summaries/days.ts";
import { SummaryFacts, SummaryTags } from "../summaries/summary_facts.tsx";
import { usePersonSummaries } from "../summaries/use_summaries.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";

/** The summaries, newest day first; nothing where there are none. */
export function PersonSummaries({ personId }: { personId: string }) {
  const workspace = useWorkspace();
  const query = usePersonSummaries(personId);
  const notes = query.data?.pages.flat() ?? [];
  if (notes.length === 0) return null;
  return (
    <section className="contact-section" aria-labelledby="contact-summaries">
      <h3 id="contact-summaries">{texts.summaries.contactTitle}</h3>
      <ul className="notes">
        {notes.map(({ id, local_date: day, content, metadata }) => (
          <li key={id} className="contact-summary">
            <p className="summary-head">
              <a
                href={`#/${workspace.slug}${PAGES.summaries}/${day}`}
                title={texts.summaries.dayLink(formatCalendarDay(day))}
              >
                <time dateTime={day}>{formatCalendarDay(day, "short")}</time>
              </a>
              <SummaryTags metadata={metadata} />
            </p>
            <p className="summary-text">{content}</p>
            <SummaryFacts metadata={metadata} />
          </li>
        ))}
      </ul>
      {query.hasNextPage && (
        <Button
          isBusy={query.isFetchingNextPage}
          onClick={() => query.fetchNextPage()}
        >
          {texts.summaries.contactMore}
        </Button>
      )}
    </section>
  );
}
