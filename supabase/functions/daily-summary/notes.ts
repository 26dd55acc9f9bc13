/**
 * Writes notes about the messages of a day: by an AI where the workspace allows it and the budget lasts,
 * else as extracts.
 *
 * @module
 */
import type { FallbackReason, PersonDay, SummaryNote } from "../_shared/contracts/daily_summary.ts";
import { type Ai, type AiAnswer, type AiSummary, estimateTokens } from "./ai.ts";
import { extractSummary } from "./extract.ts";
import { buildPrompt } from "./prompt.ts";

/** People of one run, to be summarised together. */
export interface Slice {
  workspaceId: string;
  localDate: string;
  leaseToken: string;
  coveredUntil: string;
  language: string;
  allowExternalAi: boolean;
  /** Of the whole run, before this slice. */
  tokensUsed: number;
  messagesSent: number;
  /** All people of the slice. */
  personIds: string[];
  /** Those whose notes are still up to date. */
  keptIds: string[];
  /** The days of those with messages that are in no note yet. */
  days: PersonDay[];
}

/** Notes of a slice, and what they cost. */
export interface SliceNotes {
  notes: SummaryNote[];
  aiNotes: number;
  tokens: number;
  messages: number;
}

/** Writes notes. */
export type NoteWriter = (slice: Slice) => Promise<SliceNotes>;

/** People summarised at the same time. */
const CONCURRENCY = 4;
/** Failures in a row after which the rest of the request does not call the endpoint. */
const MAX_FAILURES = 3;

/**
 * Creates a writer of notes for one request.
 *
 * @param ai undefined where none is configured.
 * @param randomMark Returns an unguessable text, different for each prompt.
 */
export function createNoteWriter(ai: Ai | undefined, randomMark: () => string): NoteWriter {
  let failures = 0;
  return async (slice) => {
    const spent = { aiNotes: 0, tokens: 0, messages: 0 };

    async function ask(day: PersonDay): Promise<AiSummary | FallbackReason> {
      if (!slice.allowExternalAi) return "ai_not_allowed";
      if (ai === undefined) return "ai_not_configured";
      if (failures >= MAX_FAILURES) return "ai_failed";
      const prompt = buildPrompt(day, slice.language, randomMark());
      const estimated = estimateTokens(prompt, ai.settings);
      if (
        slice.tokensUsed + spent.tokens + estimated > ai.settings.maxTokensPerRun ||
        slice.messagesSent + spent.messages + day.messages.length > ai.settings.maxMessagesPerRun
      ) {
        return "budget_used_up";
      }
      // Counted before the answer arrives, because the calls of a slice run at the same time.
      spent.tokens += estimated;
      spent.messages += day.messages.length;
      const answer: AiAnswer = await ai.summarise(prompt);
      spent.tokens += answer.tokens - estimated;
      failures = answer.outcome === "failed" ? failures + 1 : 0;
      if (answer.outcome === "summary") return answer.summary;
      return answer.outcome === "failed" ? "ai_failed" : "ai_answer_unusable";
    }

    const notes: SummaryNote[] = [];
    const waiting = [...slice.days.entries()];
    await Promise.all(Array.from({ length: CONCURRENCY }, async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const [index, day] = next;
        const answer = await ask(day);
        const isAi = typeof answer !== "string";
        if (isAi) spent.aiNotes += 1;
        notes[index] = {
          person_id: day.person_id,
          content: isAi ? answer.text : extractSummary(day, slice.language),
          metadata: {
            message_count: day.message_count,
            digest: day.digest,
            inbound_count: day.inbound_count,
            outbound_count: day.outbound_count,
            first_inbound_at: day.first_inbound_at,
            first_answer_seconds: day.first_answer_seconds,
            unanswered_count: day.unanswered_count,
            // A customer's instructions to the model cannot hide a question that the database found.
            has_open_question: day.has_open_question || (isAi && answer.hasOpenQuestion),
            source: isAi ? "ai" : "extract",
            fallback_reason: isAi ? null : answer,
            model: isAi ? ai!.settings.model : null,
            language: slice.language,
            covered_until: slice.coveredUntil,
          },
        };
      }
    }));
    return { notes, ...spent };
  };
}
