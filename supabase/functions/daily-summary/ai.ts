/**
 * Any endpoint with OpenAI's `POST /chat/completions`. It is not trusted: what it answers is read up to a
 * limit, checked and turned into plain text.
 *
 * @module
 */
import * as z from "zod";
import { plainText } from "./plain_text.ts";
import type { ChatMessage } from "./prompt.ts";

/** Settings from the environment. */
export interface AiSettings {
  /** Without a slash at its end, e.g. `https://api.openai.com/v1`. */
  baseUrl: string;
  model: string;
  key: string | undefined;
  timeoutMs: number;
  /** Of one day of one workspace. */
  maxTokensPerRun: number;
  /** Messages that are sent for one day of one workspace. */
  maxMessagesPerRun: number;
  /** Of one answer, with what a model thinks before it. */
  maxAnswerTokens: number;
}

/** A summary that was understood. */
export interface AiSummary {
  text: string;
  hasOpenQuestion: boolean;
}

/** What an attempt came to; tokens are counted also where the answer is of no use. */
export type AiAnswer =
  | { outcome: "summary"; summary: AiSummary; tokens: number }
  | { outcome: "unusable"; tokens: number }
  | { outcome: "failed"; tokens: number };

/** Asks an endpoint. */
export interface Ai {
  settings: AiSettings;
  /** Never throws. */
  summarise(prompt: readonly ChatMessage[]): Promise<AiAnswer>;
}

/** Characters of a note. */
export const MAX_SUMMARY_LENGTH = 1200;
const MAX_ANSWER_BYTES = 256 * 1024;
/** No day of a person costs more: an endpoint that says so has counted wrong. */
const MAX_TOKENS_PER_PERSON = 1_000_000;

/**
 * Read the settings of the AI endpoint.
 *
 * @returns undefined where none is set: notes are extracts then.
 * @throws {Error} for settings that are there and cannot be used.
 */
export function readAiSettings(env: Record<string, string>): AiSettings | undefined {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  if (given.SUMMARY_AI_BASE_URL === undefined) return undefined;
  const url = URL.parse(given.SUMMARY_AI_BASE_URL);
  if (url === null || !["http:", "https:"].includes(url.protocol) || url.search !== "") {
    throw new Error("SUMMARY_AI_BASE_URL must be an http or https URL");
  }
  if (given.SUMMARY_AI_MODEL === undefined) {
    throw new Error("SUMMARY_AI_BASE_URL is set, and SUMMARY_AI_MODEL is not");
  }
  const number = (name: string, fallback: number, max: number) => {
    const text = given[name];
    if (text === undefined) return fallback;
    const value = Number(text);
    if (!/^\d{1,9}$/.test(text) || value < 1 || value > max) {
      throw new Error(`${name} must be a whole number from 1 to ${max}`);
    }
    return value;
  };
  return {
    baseUrl: url.href.replace(/\/+$/, ""),
    model: given.SUMMARY_AI_MODEL,
    key: given.SUMMARY_AI_KEY,
    // Three people one after the other must be done before a lease ends.
    timeoutMs: number("SUMMARY_AI_TIMEOUT_MS", 20_000, 30_000),
    maxTokensPerRun: number("SUMMARY_AI_MAX_TOKENS_PER_RUN", 200_000, 100_000_000),
    maxMessagesPerRun: number("SUMMARY_AI_MAX_MESSAGES_PER_RUN", 5_000, 100_000_000),
    // A note has some 150. Models that think first count that, too, and are cut off in the middle of it.
    maxAnswerTokens: number("SUMMARY_AI_MAX_ANSWER_TOKENS", 2_000, 100_000),
  };
}

/** Tokens of a prompt and the longest answer, before the endpoint has counted them: rather too many. */
export function estimateTokens(
  prompt: readonly ChatMessage[],
  { maxAnswerTokens }: Pick<AiSettings, "maxAnswerTokens">,
): number {
  return estimatePrompt(prompt) + maxAnswerTokens;
}

function estimatePrompt(prompt: readonly ChatMessage[]): number {
  return prompt.reduce((sum, { content }) => sum + estimateText(content), 0);
}

function estimateText(text: string): number {
  return Math.ceil(new TextEncoder().encode(text).length / 3);
}

const completion = z.object({
  choices: z.array(z.object({
    message: z.object({ content: z.string() }),
  })).min(1),
  usage: z.object({ total_tokens: z.int().min(1).max(MAX_TOKENS_PER_PERSON) }).nullish()
    .catch(undefined),
});

const answer = z.object({
  summary: z.string().max(20_000),
  open_question: z.boolean(),
});

/** An {@linkcode Ai} at an endpoint. */
export function createAi(settings: AiSettings, send: typeof fetch = fetch): Ai {
  // Endpoints differ in two names; what one refuses is not sent to it again.
  let limitField = "max_tokens";
  let hasFormat = true;

  const ask = (prompt: readonly ChatMessage[], signal: AbortSignal) =>
    send(`${settings.baseUrl}/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json",
        ...(settings.key === undefined ? {} : { authorization: `Bearer ${settings.key}` }),
      },
      body: JSON.stringify({
        model: settings.model,
        messages: prompt,
        [limitField]: settings.maxAnswerTokens,
        ...(hasFormat ? { response_format: { type: "json_object" } } : {}),
      }),
      // The key must not follow a redirect.
      redirect: "manual",
      signal,
    });

  return {
    settings,
    async summarise(prompt) {
      const estimated = estimateTokens(prompt, settings);
      try {
        const signal = AbortSignal.timeout(settings.timeoutMs);
        let response = await ask(prompt, signal);
        if (response.status === 400) {
          const refusal = await readText(response);
          const isLimit = limitField === "max_tokens" && refusal.includes("max_completion_tokens");
          const isFormat = hasFormat && refusal.includes("response_format");
          if (!isLimit && !isFormat) return { outcome: "failed", tokens: 0 };
          if (isLimit) limitField = "max_completion_tokens";
          if (isFormat) hasFormat = false;
          response = await ask(prompt, signal);
        }
        if (response.status !== 200) {
          await response.body?.cancel();
          return { outcome: "failed", tokens: 0 };
        }
        const body = completion.safeParse(parseJson(await readText(response)));
        if (!body.success) return { outcome: "unusable", tokens: estimated };
        const { content } = body.data.choices[0]!.message;
        const tokens = body.data.usage?.total_tokens ??
          estimatePrompt(prompt) + estimateText(content);
        const summary = readAnswer(content);
        return summary ? { outcome: "summary", summary, tokens } : { outcome: "unusable", tokens };
      } catch {
        // No connection, no answer in time, an answer without end. It may have cost something.
        return { outcome: "failed", tokens: estimated };
      }
    },
  };
}

/**
 * What a model has written, or undefined where it is not what was asked for. Endpoints without a format
 * for answers put words around it, and some models their thoughts before it.
 */
export function readAnswer(content: string): AiSummary | undefined {
  const spoken = content.slice(content.lastIndexOf("</think>") + 1);
  const bare = spoken.slice(spoken.indexOf("{"), spoken.lastIndexOf("}") + 1);
  const parsed = answer.safeParse(parseJson(bare));
  if (!parsed.success) return undefined;
  const text = plainText(parsed.data.summary, MAX_SUMMARY_LENGTH);
  // Nothing but links, or dots.
  if (!/\p{L}{2}/u.test(text)) return undefined;
  return { text, hasOpenQuestion: parsed.data.open_question };
}

async function readText(response: Response): Promise<string> {
  let text = "";
  let bytes = 0;
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error("the answer is too long");
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
