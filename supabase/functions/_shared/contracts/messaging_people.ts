/**
 * The API of messaging-people: contacts of a connection's workspace, for a bridge to match against.
 *
 * @module
 */
import * as z from "zod";
import { messagingError } from "./errors.ts";
import { wholeNumber } from "./numbers.ts";
import { defineRoute, errorsOf } from "./route.ts";
import { instant, storableText } from "./text.ts";

/** People in a page: the default, and the most. */
export const DEFAULT_LIMIT = 100;
export const MAX_LIMIT = 500;

/** The query string. */
export const peopleQuery = z.object({
  search: storableText.pipe(z.string().max(200, { error: "must be at most 200 characters" }))
    .optional(),
  phone: storableText
    .pipe(z.string().max(64, { error: "must be at most 64 characters" }))
    .refine((text) => /\d{3}/.test(text.replace(/\D/g, "")), {
      error: "must have at least 3 digits",
    })
    .optional(),
  updated_since: instant.optional(),
  limit: wholeNumber(1, MAX_LIMIT, DEFAULT_LIMIT),
  offset: wholeNumber(0, 999_999_999, 0),
});

/** A checked query. */
export type PeopleQuery = z.output<typeof peopleQuery>;

/** A person as bridges see them. */
export const person = z.object({
  id: z.guid(),
  name: z.string().nullable(),
  email: z.string().nullable(),
  phone: z.string().nullable(),
  avatar_url: z.string().nullable(),
  updated_at: z.iso.datetime(),
}).meta({ id: "Person" });

/** A person as bridges see them. */
export type Person = z.output<typeof person>;

/** `GET /messaging-people`. */
export const listPeople = defineRoute({
  method: "get",
  path: "/messaging-people",
  operationId: "listPeople",
  summary: "People, least recently changed first.",
  security: ["connectionKey"],
  headers: z.object({ "x-connection-id": z.string() }),
  query: peopleQuery,
  responses: {
    200: {
      description: "A page, and how many people there are",
      body: z.object({
        success: z.literal(true),
        total: z.int(),
        limit: z.int(),
        offset: z.int(),
        people: z.array(person),
      }),
    },
  },
  errors: errorsOf(messagingError, 400, 401, 403, 405, 429, 500, 503),
});
