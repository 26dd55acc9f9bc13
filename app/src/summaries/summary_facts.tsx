/**
 * Facts of a summary besides its text, for the page and for the contact.
 *
 * @module
 */

import { formatDuration } from "../format.ts";
import { texts } from "../texts.ts";
import type { SummaryMetadata } from "../api/rows.ts";

/** Whether a question is open, and who wrote the text. */
export function SummaryTags({ metadata }: { metadata: SummaryMetadata }) {
  const { has_open_question: isOpen, source, fallback_reason: reason } = metadata;
  return (
    <>
      {isOpen && <span className="tag" data-tone="warning">{texts.summaries.openQuestion}</span>}
      <span
        className="tag"
        title={reason === null ? undefined : texts.summaries.fallbacks[reason] ?? reason}
      >
        {source === "ai" ? texts.summaries.byAi : texts.summaries.extract}
      </span>
    </>
  );
}

/** Number of messages, and the response time. */
export function SummaryFacts({ metadata }: { metadata: SummaryMetadata }) {
  const { inbound_count, outbound_count, unanswered_count, first_answer_seconds } = metadata;
  const { fallback_reason: reason } = metadata;
  const answer = first_answer_seconds !== null
    ? texts.summaries.firstAnswer(formatDuration(first_answer_seconds))
    : inbound_count === 0
    ? texts.summaries.noQuestion
    : texts.summaries.noAnswer;
  return (
    <ul className="summary-facts">
      <li>{texts.summaries.received(inbound_count)}</li>
      <li>{texts.summaries.sent(outbound_count)}</li>
      <li>{answer}</li>
      {unanswered_count > 0 && outbound_count > 0 && (
        <li>{texts.summaries.unanswered(unanswered_count)}</li>
      )}
      {/* The page says it for all summaries where AI is not allowed. */}
      {reason !== null && reason !== "ai_not_allowed" && (
        <li>{texts.summaries.fallbacks[reason] ?? reason}</li>
      )}
    </ul>
  );
}
