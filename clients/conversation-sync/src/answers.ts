/**
 * Reads the answers of the API leniently: what the client cannot do without must be there, unknown fields
 * are kept, and a field that an older server leaves out or sends with another type does not make a write
 * that succeeded count as failed.
 *
 * @module
 */

import * as z from "zod";

import * as contract from "./contract.ts";
import type {
  AgentSession,
  Business,
  ConversationContext,
  SessionOrders,
  SessionPage,
  Tenant,
} from "./contract.ts";

export type {
  AgentSession,
  Business,
  ConversationContext,
  ConversationMetadata,
  MessageRole,
  PreviousMessage,
  SelectedItem,
  SessionOrders,
  SessionPage,
  Tenant,
} from "./contract.ts";

/** An answer of which only some fields are certain. Times are ISO 8601 in UTC. */
export type Lenient<Answer, Certain extends keyof Answer> =
  & { [Field in Certain]: Answer[Field] }
  & { [Field in Exclude<keyof Answer, Certain>]?: Answer[Field] | null | undefined }
  & { [field: string]: unknown };

/** The state of a session. */
export type ConversationState =
  & Lenient<Omit<AgentSession, "context">, "sessionId">
  & { context: ConversationContext };

/** The business that a customer is talking to. */
export type TenantInfo = Lenient<Tenant, "sessionId" | "subDomain">;

/** The business that a WhatsApp number belongs to. */
export type BusinessInfo = Lenient<Business, "subDomain">;

/** A page of conversations. */
export type ConversationPage =
  & Lenient<Omit<SessionPage, "conversations">, never>
  & { conversations: ConversationState[] };

/** The orders of a session. */
export type ConversationOrders = Lenient<SessionOrders, "sessionId">;

/** Body of every answer but that of `/health`. */
export const envelopeSchema = z.looseObject({
  type: z.union([z.string(), z.number()]).transform(String),
  data: z.unknown().optional(),
  code: z.string().optional().catch(undefined),
  request_id: z.string().optional().catch(undefined),
});

const present = z.string().min(1);

/** {@linkcode TenantInfo} */
export const tenantSchema = lenient<TenantInfo>(contract.tenant, {
  subDomain: present,
  sessionId: present,
});

/** {@linkcode BusinessInfo} */
export const businessSchema = lenient<BusinessInfo>(contract.business, { subDomain: present });

/** {@linkcode ConversationState} */
export const stateSchema = lenient<ConversationState>(contract.agentSession, {
  sessionId: present,
  context: z.record(z.string(), z.unknown()).catch({}),
});

/** {@linkcode ConversationPage} */
export const pageSchema = lenient<ConversationPage>(contract.sessionPage, {
  conversations: z.array(stateSchema),
});

/** {@linkcode ConversationOrders} */
export const ordersSchema = lenient<ConversationOrders>(contract.sessionOrders, {
  sessionId: present,
});

/** Answer of `/health`, bare or in the envelope. */
export const healthSchema = z.union([
  z.looseObject(contract.health.shape),
  z.looseObject({ data: z.looseObject(contract.health.shape) }),
]);

/** The schema of an answer with the certain fields as given, and of all others the JSON type at most. */
function lenient<Answer>(
  { shape }: { readonly shape: Readonly<Record<string, z.ZodType>> },
  certain: Record<string, z.ZodType>,
): z.ZodType<Answer> {
  const fields = Object.entries(shape).map(([name, field]) => [
    name,
    certain[name] ?? jsonTypeOf(field).nullish().catch(undefined),
  ]);
  return z.looseObject(Object.fromEntries(fields)) as unknown as z.ZodType<Answer>;
}

function jsonTypeOf(field: z.ZodType): z.ZodType {
  if (field instanceof z.ZodOptional || field instanceof z.ZodNullable) {
    return jsonTypeOf(field.unwrap() as z.ZodType);
  }
  switch (field.type) {
    case "string":
      return z.string();
    case "number":
      return z.number();
    case "boolean":
      return z.boolean();
    case "array":
      return z.array(z.unknown());
    case "object":
      return z.record(z.string(), z.unknown());
    default:
      throw new Error(`no JSON type for ${field.type}`);
  }
}
