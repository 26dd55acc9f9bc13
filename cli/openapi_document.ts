/**
 * The OpenAPI document of all functions, made of their schemas. A new function is one more entry of
 * `FUNCTIONS`.
 *
 * @module
 */
import { createDocument } from "zod-openapi";
import project from "../deno.json" with { type: "json" };
import type { FunctionDescription } from "../supabase/functions/_shared/http/openapi.ts";
import { conversationSync } from "../supabase/functions/conversation-sync/openapi.ts";
import { dailySummary } from "../supabase/functions/daily-summary/openapi.ts";
import { inbox } from "../supabase/functions/inbox/openapi.ts";
import { kapsoSync } from "../supabase/functions/kapso-sync/openapi.ts";
import { kapsoWebhook } from "../supabase/functions/kapso-webhook/openapi.ts";
import { messagingIngest } from "../supabase/functions/messaging-ingest/openapi.ts";
import { messagingPeople } from "../supabase/functions/messaging-people/openapi.ts";
import { workflowSettings } from "../supabase/functions/workflow-settings/openapi.ts";

const FUNCTIONS: FunctionDescription[] = [
  messagingIngest,
  messagingPeople,
  kapsoWebhook,
  kapsoSync,
  conversationSync,
  inbox,
  workflowSettings,
  dailySummary,
];

/** Where the document lies: conversation-sync serves it at /openapi.json. */
export const OPENAPI_PATH = new URL(
  "../supabase/functions/_shared/openapi.json",
  import.meta.url,
);

/** The document, as JSON. */
export function createOpenApi(): Record<string, unknown> {
  const document = createDocument({
    openapi: "3.1.0",
    info: {
      title: "Conversations",
      version: project.version,
      description:
        "The HTTP functions of the project. docs/errors.md explains the codes of errors.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{
      url: "{project}/functions/v1",
      variables: {
        project: {
          default: "http://127.0.0.1:54321",
          description: "URL of the Supabase project.",
        },
      },
    }],
    tags: FUNCTIONS.map(({ name, description }) => ({ name, description })),
    paths: Object.assign({}, ...FUNCTIONS.map(({ paths }) => paths)),
    components: {
      securitySchemes: {
        connectionKey: {
          type: "apiKey",
          in: "header",
          name: "x-api-key",
          description: "API secret of a connection.",
        },
        kapsoSignature: {
          type: "apiKey",
          in: "header",
          name: "X-Webhook-Signature",
          description: "HMAC-SHA256 of the body under the webhook's secret, in hexadecimal.",
        },
        userToken: { type: "http", scheme: "bearer", description: "Token of a signed-in member." },
        serviceKey: {
          type: "apiKey",
          in: "header",
          name: "apikey",
          description: "Secret key of the project, for programs on a server.",
        },
        agentKey: { type: "http", scheme: "bearer", description: "Key of an AI agent." },
        agentKeyHeader: {
          type: "apiKey",
          in: "header",
          name: "x-api-key",
          description: "The same, in a header of its own.",
        },
      },
    },
    // An extra field of a message that does not fit is left out, so anything may be sent.
  }, { allowEmptySchema: { catch: { input: true } } });
  return JSON.parse(JSON.stringify(document));
}
