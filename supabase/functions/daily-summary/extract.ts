/**
 * Summarises a day without an AI: counts, and the first and last message of the customer. Pure.
 *
 * @module
 */
import type { PersonDay } from "../_shared/contracts/daily_summary.ts";
import { plainText } from "./plain_text.ts";

/** Characters of a quoted message. */
const QUOTE_LENGTH = 200;

interface Phrases {
  lead: string;
  fromCustomer: (count: number) => string;
  answers: (count: number) => string;
  firstAnswer: (time: string) => string;
  unanswered: (count: number) => string;
  openQuestion: string;
  first: string;
  last: string;
  seconds: string;
  minutes: string;
  hours: string;
}

const PHRASES: Record<string, Phrases> = {
  en: {
    lead: "Extract, not written by an AI",
    fromCustomer: (count) => `${count} ${count === 1 ? "message" : "messages"} from the customer`,
    answers: (count) => `${count} ${count === 1 ? "answer" : "answers"}`,
    firstAnswer: (time) => `First answer after ${time}.`,
    unanswered: (count) =>
      `${count} ${count === 1 ? "message is" : "messages are"} still unanswered.`,
    openQuestion: "A question is open.",
    first: "First message",
    last: "Last message",
    seconds: "s",
    minutes: "min",
    hours: "h",
  },
  de: {
    lead: "Auszug, nicht von einer KI geschrieben",
    fromCustomer: (count) => `${count} ${count === 1 ? "Nachricht" : "Nachrichten"} vom Kunden`,
    answers: (count) => `${count} ${count === 1 ? "Antwort" : "Antworten"}`,
    firstAnswer: (time) => `Erste Antwort nach ${time}.`,
    unanswered: (count) =>
      count === 1
        ? "1 Nachricht ist noch unbeantwortet."
        : `${count} Nachrichten sind noch unbeantwortet.`,
    openQuestion: "Eine Frage ist offen.",
    first: "Erste Nachricht",
    last: "Letzte Nachricht",
    seconds: "s",
    minutes: "min",
    hours: "h",
  },
  es: {
    lead: "Extracto, no escrito por una IA",
    fromCustomer: (count) => `${count} ${count === 1 ? "mensaje" : "mensajes"} del cliente`,
    answers: (count) => `${count} ${count === 1 ? "respuesta" : "respuestas"}`,
    firstAnswer: (time) => `Primera respuesta después de ${time}.`,
    unanswered: (count) =>
      count === 1 ? "1 mensaje sigue sin respuesta." : `${count} mensajes siguen sin respuesta.`,
    openQuestion: "Hay una pregunta abierta.",
    first: "Primer mensaje",
    last: "Último mensaje",
    seconds: "s",
    minutes: "min",
    hours: "h",
  },
  id: {
    lead: "Kutipan, tidak ditulis oleh AI",
    fromCustomer: (count) => `${count} pesan dari pelanggan`,
    answers: (count) => `${count} balasan`,
    firstAnswer: (time) => `Balasan pertama setelah ${time}.`,
    unanswered: (count) => `${count} pesan belum dibalas.`,
    openQuestion: "Ada pertanyaan yang belum terjawab.",
    first: "Pesan pertama",
    last: "Pesan terakhir",
    seconds: "dtk",
    minutes: "mnt",
    hours: "jam",
  },
  pt: {
    lead: "Extrato, não escrito por uma IA",
    fromCustomer: (count) => `${count} ${count === 1 ? "mensagem" : "mensagens"} do cliente`,
    answers: (count) => `${count} ${count === 1 ? "resposta" : "respostas"}`,
    firstAnswer: (time) => `Primeira resposta após ${time}.`,
    unanswered: (count) =>
      count === 1
        ? "1 mensagem continua sem resposta."
        : `${count} mensagens continuam sem resposta.`,
    openQuestion: "Há uma pergunta em aberto.",
    first: "Primeira mensagem",
    last: "Última mensagem",
    seconds: "s",
    minutes: "min",
    hours: "h",
  },
};

/**
 * An extract of a day; its first words say that it is one.
 *
 * @param language BCP 47 tag; English where the language is not supported.
 */
export function extractSummary(day: PersonDay, language: string): string {
  const phrases = PHRASES[language.split("-")[0]!] ?? PHRASES.en!;
  const counts = [
    phrases.fromCustomer(day.inbound_count),
    phrases.answers(day.outbound_count),
  ].join(", ");
  const quotes = day.messages
    .filter(({ from }) => from === "customer")
    .map(({ text, type }) => plainText(text, QUOTE_LENGTH) || `[${type}]`);
  const [first, last] = [quotes[0], quotes.at(-1)];
  return [
    `${phrases.lead}: ${counts}.`,
    ...(day.first_answer_seconds === null
      ? []
      : [phrases.firstAnswer(durationOf(day.first_answer_seconds, phrases))]),
    ...(day.unanswered_count === 0 ? [] : [phrases.unanswered(day.unanswered_count)]),
    ...(day.has_open_question ? [phrases.openQuestion] : []),
    // Of a long day only the newest messages are known, so its first message is not.
    ...(first === undefined || quotes.length === 1 || day.messages.length < day.message_count
      ? []
      : [`${phrases.first}: “${first}”`]),
    ...(last === undefined ? [] : [`${phrases.last}: “${last}”`]),
  ].join(" ");
}

function durationOf(seconds: number, { seconds: s, minutes: min, hours: h }: Phrases): string {
  if (seconds < 60) return `${seconds} ${s}`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60
    ? `${minutes} ${min}`
    : `${Math.floor(minutes / 60)} ${h} ${minutes % 60} ${min}`;
}
