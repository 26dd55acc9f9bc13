/**
 * Fields that several routes of the inbox have.
 *
 * @module
 */
import * as z from "zod";
import { requiredOr } from "../text.ts";

/** An id in a body. */
export const id = z.guid({ error: "must be a uuid" });

/** An id in a path or query. */
export const addressedId = z.guid({ error: requiredOr("a uuid") });

/** Parameters of a path that ends in an id. */
export const idParams = z.object({ id: addressedId });

/** A time in an answer. */
export const timestamp = z.iso.datetime({ offset: true });

/** Statuses of errors that every request of a member can have. */
export const REQUEST_ERRORS = [401, 403, 405, 500, 503] as const;

/** Statuses of errors that every JSON body can have. */
export const BODY_ERRORS = [400, 413, 415] as const;

/** Statuses of errors that a body over 64 KB can have. */
export const LARGE_BODY_ERRORS = [...BODY_ERRORS, 408, 429] as const;
