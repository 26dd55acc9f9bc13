/**
 * From what was written on a day to notes: by the AI where that is allowed, there and within its budget,
 * else as extracts.
 *
 * @module
 */
import { type Ai, type AiAnswer, type AiSummary, estimateTokens } from "./ai.ts";
import { extractSummary } from "./extract.ts";
import { buildPrompt } from "./prompt.ts";
import type { FallbackReason, Note, PersonDay } from "./schema.ts";

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
  /** Everybody who is looked at. */
  personIds: string[];
  /** Those of them whose notes are still right. */
  keptIds: string[];
  /** Those who have messages that are in no note yet. */
  days: PersonDay[];
}

/** Notes of a slice, and what they cost. */
export interface SliceNotes {
  notes: Note[];
  aiNotes: number;
  tokens: number;
  messages: number;
}

/** Writes notes. */
export type NoteWriter = (slice: Slice) => Promise<SliceNotes>;

/** People who are summarised at the same time. */
const CONCURRENCY = 4;
/** An endpoint that failed so often in a row is left alone for the rest of the request. */
const MAX_FAILURES = 3;

/**
 * A writer of notes for one request.
 *
 * @param ai undefined where none is configured.
 * @param randomMark A text that nobody can guess.
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
      // Counted before the answer is there: the others of the slice ask at the same time.
      spent.tokens += estimated;
      spent.messages += day.messages.length;
      const answer: AiAnswer = await ai.summarise(prompt);
      spent.tokens += answer.tokens - estimated;
      failures = answer.outcome === "failed" ? failures + 1 : 0;
      if (answer.outcome === "summary") return answer.summary;
      return answer.outcome === "failed" ? "ai_failed" : "ai_answer_unusable";
    }

    const notes: Note[] = [];
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
            // Nobody can talk the model out of a question that is there.
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
