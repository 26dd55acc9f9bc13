/**
 * Sends messages. Those that have not reached the server are kept as mutations, so that sending continues
 * when another conversation is opened; they end with the session.
 *
 * @module
 */

import {
  type Mutation,
  type QueryClient,
  useMutation,
  useMutationState,
  useQueryClient,
} from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { ApiError } from "../api/api_error.ts";
import { useApi } from "../api/context.tsx";
import { refresh, refreshSoon } from "../api/query_client.ts";
import type { NewMessage, OutboxMessage } from "../api/rows.ts";
import { conversationKeys } from "../conversations/queries.ts";
import { outboxKeys, putOutboxRow } from "./queries.ts";

/** A message as it was written. */
export interface WrittenMessage {
  body: NewMessage;
  /** Text of the bubble until the server has the message. */
  content: string;
  fileName?: string;
}

/** A message that the server does not have yet: on its way, or failed with an error. */
export interface UnsentMessage extends WrittenMessage {
  createdAt: string;
  error: ApiError | null;
}

/** What is kept of a message while it is sent. */
interface Variables extends WrittenMessage {
  createdAt: string;
}

type SendMutation = Mutation<OutboxMessage, ApiError, Variables>;

/** The messages of a conversation that the server does not have, oldest first. */
export function useUnsentMessages(conversationId: string): UnsentMessage[] {
  return useMutationState({
    filters: {
      mutationKey: outboxKeys.send(conversationId),
      predicate: ({ state }) => state.status !== "success",
    },
    select: (mutation) => {
      const { variables, error } = (mutation as unknown as SendMutation).state;
      return { ...variables!, error };
    },
  });
}

/** Sends messages of a conversation, and sends again or forgets those that failed. The functions are stable. */
export function useSendMessage(conversationId: string) {
  const api = useApi();
  const queryClient = useQueryClient();
  const { mutateAsync } = useMutation<OutboxMessage, ApiError, Variables>({
    mutationKey: outboxKeys.send(conversationId),
    // Without a network it fails at once and says so, instead of waiting in silence.
    networkMode: "always",
    gcTime: Infinity,
    mutationFn: async ({ body }) => {
      try {
        const { message } = await api.inbox<{ message: OutboxMessage }>({
          method: "POST",
          path: "messages",
          body,
        });
        return message;
      } catch (error) {
        throw error instanceof ApiError ? error : new ApiError(0, "network", "");
      }
    },
    onSuccess(row, { body }) {
      // The answer is the newest state of the row; only the conversation has to be read again.
      putOutboxRow(queryClient, row);
      forgetUnsent(queryClient, conversationId, [body.idempotency_key]);
      refreshSoon(queryClient, conversationKeys.one(conversationId));
    },
    onError(error, { body }) {
      // The message may have arrived although its answer did not.
      if (error.isTemporary) refresh(queryClient, outboxKeys.one(conversationId));
      // A reaction has no bubble that could offer another try.
      if (body.type === "reaction") {
        forgetUnsent(queryClient, conversationId, [body.idempotency_key]);
      }
    },
  });
  const post = useCallback(async (message: Variables): Promise<ApiError | undefined> => {
    try {
      await mutateAsync(message);
      return undefined;
    } catch (error) {
      return error as ApiError;
    }
  }, [mutateAsync]);

  return useMemo(() => ({
    /** Sends a message; resolves to the error where it failed. */
    sendMessage: (message: WrittenMessage) =>
      post({ ...message, createdAt: new Date().toISOString() }),
    /** Sends a failed message again, with the same key, so that the server stores it once. */
    resendMessage({ error: _, ...message }: UnsentMessage) {
      forgetUnsent(queryClient, conversationId, [message.body.idempotency_key]);
      return post(message);
    },
    /** Drops a failed message. */
    discardUnsent({ body }: UnsentMessage) {
      forgetUnsent(queryClient, conversationId, [body.idempotency_key]);
    },
  }), [post, queryClient, conversationId]);
}

/** Forgets failed messages of which the server turned out to have received them. */
export function forgetArrived(
  queryClient: QueryClient,
  conversationId: string,
  outbox: readonly OutboxMessage[],
): void {
  forgetUnsent(queryClient, conversationId, outbox.map((row) => row.idempotency_key), "error");
}

function forgetUnsent(
  queryClient: QueryClient,
  conversationId: string,
  keys: readonly string[],
  status?: "error",
): void {
  const cache = queryClient.getMutationCache();
  const mutations = cache.findAll({
    mutationKey: outboxKeys.send(conversationId),
    ...(status && { status }),
  }) as unknown as SendMutation[];
  for (const mutation of mutations) {
    if (keys.includes(mutation.state.variables?.body.idempotency_key ?? "")) {
      cache.remove(mutation as unknown as Mutation);
    }
  }
}
