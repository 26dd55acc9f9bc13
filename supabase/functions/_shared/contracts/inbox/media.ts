/**
 * Files: uploads to send, and links to the files of messages.
 *
 * @module
 */
import * as z from "zod";
import { apiError } from "../errors.ts";
import { fileType } from "../outbound_content.ts";
import { defineRoute, errorsOf } from "../route.ts";
import { storableId } from "../text.ts";
import { BODY_ERRORS, id, LARGE_BODY_ERRORS, REQUEST_ERRORS } from "./fields.ts";

/** A file at WhatsApp, ready to be sent. */
export const upload = z.object({
  media_id: z.string(),
  type: fileType.meta({ description: "The type of message to send it as." }),
  file_name: z.string(),
  mime_type: z.string(),
  size: z.int().meta({ description: "In bytes." }),
}).meta({ id: "Upload" });

/** A file at WhatsApp, ready to be sent. */
export type Upload = z.output<typeof upload>;

/** `POST /inbox/uploads`. */
export const uploadFile = defineRoute({
  method: "post",
  path: "/inbox/uploads",
  operationId: "uploadFile",
  summary: "Upload a file to send. Its media_id is valid for 30 days.",
  security: ["userToken"],
  rawBody: {
    mediaType: "multipart/form-data",
    schema: z.object({ conversation_id: id, file: z.file() }),
  },
  responses: { 201: { description: "Uploaded", body: upload } },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, ...LARGE_BODY_ERRORS, 404, 422),
});

/** `POST /inbox/media-links`. */
export const linkMedia = defineRoute({
  method: "post",
  path: "/inbox/media-links",
  operationId: "linkMedia",
  summary: "A link that opens the file of a message for 5 to 10 minutes, without headers.",
  security: ["userToken"],
  body: z.object({ conversation_id: id, message_id: storableId() }),
  responses: {
    200: {
      description: "The link",
      body: z.object({ url: z.url(), expires_at: z.iso.datetime() }),
    },
  },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, ...BODY_ERRORS, 404),
});

/** `GET /inbox/media/{token}`. */
export const openMedia = defineRoute({
  method: "get",
  path: "/inbox/media/{token}",
  operationId: "openMedia",
  summary: "The file of a link.",
  security: [],
  params: z.object({ token: z.string() }),
  responses: { 200: { description: "The file", mediaType: "*/*" } },
  errors: errorsOf(apiError, 403, 404, 405, 500, 503),
});
