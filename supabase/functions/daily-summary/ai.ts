/**
 * Calls an endpoint with OpenAI's `POST /chat/completions`. It is not trusted: its answer is read up to a
 * limit, checked and turned into plain text.
 *
 * @module
 */
import * as z from "zod";
import { parseJson } from "../_shared/http/json.ts";
import { errorNames, type Log } from "../_shared/http/log.ts";
import { plainText } from "./plain_text.ts";
import type { ChatMessage } from "./prompt.ts";

/** Settings from the environment. */
export interface AiSettings {
  /** Without a trailing slash, e.g. `https://api.openai.com/v1`. */
  baseUrl: string;
  model: string;
  key: string | undefined;
  timeoutMs: number;
  /** Tokens for one day of one workspace. */
  maxTokensPerRun: number;
  /** Messages sent for one day of one workspace. */
  maxMessagesPerRun: number;
  /** Tokens of one answer, including what a model thinks before it. */
  maxAnswerTokens: number;
}

/** A summary that was understood. */
export interface AiSummary {
  text: string;
  hasOpenQuestion: boolean;
}

/** The result of a call. An unusable answer costs tokens as well. */
export type AiAnswer =
  | { outcome: "summary"; summary: AiSummary; tokens: number }
  | { outcome: "unusable"; tokens: number }
  | { outcome: "failed"; tokens: number };

/** An AI endpoint. */
export interface Ai {
  settings: AiSettings;
  /** Summarises the messages of a prompt. Never throws. */
  summarise(prompt: readonly ChatMessage[]): Promise<AiAnswer>;
}

/** Characters of a note. */
export const MAX_SUMMARY_LENGTH = 1200;
const MAX_ANSWER_BYTES = 256 * 1024;
/** More tokens than a day of a person can cost: an endpoint that reports more has counted wrong. */
const MAX_TOKENS_PER_PERSON = 1_000_000;

/**
 * Reads the settings of the AI endpoint.
 *
 * @returns undefined where no endpoint is set; all notes are extracts then.
 * @throws {Error} for settings that cannot be used.
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
    // A slice asks for three people one after the other, which must take less than its lease.
    timeoutMs: number("SUMMARY_AI_TIMEOUT_MS", 20_000, 30_000),
    maxTokensPerRun: number("SUMMARY_AI_MAX_TOKENS_PER_RUN", 200_000, 100_000_000),
    maxMessagesPerRun: number("SUMMARY_AI_MAX_MESSAGES_PER_RUN", 5_000, 100_000_000),
    // A note takes about 150. The rest is for models that think first.
    maxAnswerTokens: number("SUMMARY_AI_MAX_ANSWER_TOKENS", 2_000, 100_000),
  };
}

/** Estimates the tokens of a prompt and the longest answer; rather too many than too few. */
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

/** Creates an {@linkcode Ai} for an endpoint. */
export function createAi(settings: AiSettings, log: Log, send: typeof fetch = fetch): Ai {
  // Endpoints differ in these two fields. One that the endpoint refuses is not sent again.
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
      } catch (error) {
        // No connection, a timeout or an endless answer. It may have cost tokens.
        log("error", "ai_failed", { cause: errorNames(error) });
        return { outcome: "failed", tokens: estimated };
      }
    },
  };
}

/**
 * Reads a model's answer; undefined where it is not the requested JSON. Endpoints without a response format
 * may put words around the JSON, and some models put their thoughts before it.
 */
export function readAnswer(content: string): AiSummary | undefined {
  const spoken = content.slice(content.lastIndexOf("</think>") + 1);
  const bare = spoken.slice(spoken.indexOf("{"), spoken.lastIndexOf("}") + 1);
  const parsed = answer.safeParse(parseJson(bare));
  if (!parsed.success) return undefined;
  const text = plainText(parsed.data.summary, MAX_SUMMARY_LENGTH);
  // Only links or punctuation.
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
