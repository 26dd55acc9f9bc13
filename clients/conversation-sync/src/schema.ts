/**
 * Checks answers, loosely: what the client cannot do without must be there, unknown fields are kept, and a
 * field that an older server leaves out or spells in another type is no reason to call a write failed
 * that has happened.
 *
 * @module
 */

import * as z from "zod";

import type {
  BusinessInfo,
  ConversationOrders,
  ConversationPage,
  ConversationState,
  TenantInfo,
} from "./types.ts";

const text = z.string().nullish().catch(undefined);
const flag = z.boolean().nullish().catch(undefined);
const count = z.number().nullish().catch(undefined);
const list = z.array(z.unknown()).nullish().catch(undefined);
const record = z.record(z.string(), z.unknown());

/** Body of every answer but that of `/health`. */
export const envelopeSchema = z.looseObject({
  type: z.union([z.string(), z.number()]).transform(String),
  data: z.unknown().optional(),
  code: z.string().optional().catch(undefined),
  request_id: z.string().optional().catch(undefined),
});

/** {@linkcode TenantInfo} */
export const tenantSchema: z.ZodType<TenantInfo> = z.looseObject({
  subDomain: z.string().min(1),
  sessionId: z.string().min(1),
  botId: text,
  localId: text,
  isActive: flag,
});

/** {@linkcode BusinessInfo} */
export const businessSchema: z.ZodType<BusinessInfo> = z.looseObject({
  subDomain: z.string().min(1),
  localId: text,
  connectionId: text,
  isActive: flag,
});

/** {@linkcode ConversationState} */
export const stateSchema: z.ZodType<ConversationState> = z.looseObject({
  sessionId: z.string().min(1),
  userId: text,
  botId: text,
  subDomain: text,
  localId: text,
  currentIntent: text,
  currentStep: text,
  previousIntent: text,
  previousStep: text,
  context: record.catch({}),
  metadata: record.nullish().catch(undefined),
  isActive: flag,
  lastActivity: text,
  createdAt: text,
  updatedAt: text,
  expiresAt: text,
  currentOrderId: text,
  orderHistory: list,
  version: count,
});

/** {@linkcode ConversationPage} */
export const pageSchema: z.ZodType<ConversationPage> = z.looseObject({
  conversations: z.array(stateSchema),
  total: count,
  limit: count,
  offset: count,
});

/** {@linkcode ConversationOrders} */
export const ordersSchema: z.ZodType<ConversationOrders> = z.looseObject({
  sessionId: z.string().min(1),
  currentOrderId: text,
  orderHistory: list,
});

/** Answer of `/health`, bare or in the envelope. */
export const healthSchema = z.union([
  z.looseObject({ status: z.literal("ok") }),
  z.looseObject({ data: z.looseObject({ status: z.literal("ok") }) }),
]);
