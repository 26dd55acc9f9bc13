/**
 * Uploads files that are to be sent.
 *
 * @module
 */

import { useMutation } from "@tanstack/react-query";
import { useApi } from "../api/context.tsx";
import type { Upload } from "../api/rows.ts";

/** Uploads a file; messages name it by the `media_id` of the answer. */
export function useUpload(conversationId: string) {
  const api = useApi();
  return useMutation({
    mutationFn: (file: File) => {
      const form = new FormData();
      form.set("conversation_id", conversationId);
      form.set("file", file);
      return api.inbox<Upload>({ method: "POST", path: "uploads", body: form });
    },
  });
}
