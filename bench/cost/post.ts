/**
 * Requests of the case `cost`.
 *
 * @module
 */

import type { BenchContext } from "../cases/case.ts";
import type { BenchConversation } from "../messages.ts";

/** Stores conversations, or throws. */
export type Send = (conversations: BenchConversation[]) => Promise<void>;

/** Posts a body, and returns the answer, which must be a success. */
export async function post(
  url: string,
  headers: Record<string, string>,
  body: string,
): Promise<string> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${response.status}: ${answer.slice(0, 500)}`);
  return answer;
}

/** The address of a function at the gateway. */
export function atGateway({ info }: BenchContext, name: string): string {
  return `${info.api_url}/functions/v1/${name}`;
}

/** Sends conversations to messaging-ingest, or to a peer that takes the same requests. */
export function sendTo({ info }: BenchContext, url: string): Send {
  return async (conversations) => {
    await post(
      url,
      { "x-api-key": info.demo.api_key },
      JSON.stringify({
        platform: "whatsapp",
        connection_id: info.demo.connection_id,
        conversations,
      }),
    );
  };
}

/** Headers of a call of the REST API with the rights of the functions. */
export function serviceHeaders({ info }: BenchContext): Record<string, string> {
  return { apikey: info.secret_key, authorization: `Bearer ${info.secret_key}` };
}
