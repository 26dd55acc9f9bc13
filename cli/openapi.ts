/**
 * The OpenAPI document of all functions, from their contracts. A new function is one more entry of
 * `FUNCTIONS`. `deno task openapi` writes `supabase/functions/_shared/openapi.json`, which conversation-sync
 * serves, and the version of the functions.
 *
 * @module
 */
import { createDocument } from "zod-openapi";
import project from "../deno.json" with { type: "json" };
import * as conversationSync from "../supabase/functions/_shared/contracts/conversation_sync/index.ts";
import * as inbox from "../supabase/functions/_shared/contracts/inbox/index.ts";
import * as dailySummary from "../supabase/functions/_shared/contracts/daily_summary.ts";
import * as directory from "../supabase/functions/_shared/contracts/directory.ts";
import * as kapsoSync from "../supabase/functions/_shared/contracts/kapso_sync.ts";
import * as kapsoWebhook from "../supabase/functions/_shared/contracts/kapso_webhook.ts";
import * as messagingIngest from "../supabase/functions/_shared/contracts/messaging_ingest.ts";
import * as messagingPeople from "../supabase/functions/_shared/contracts/messaging_people.ts";
import * as workflowSettings from "../supabase/functions/_shared/contracts/workflow_settings.ts";
import { describeFunction, type FunctionDescription } from "./openapi_paths.ts";

const FUNCTIONS: FunctionDescription[] = [
  describeFunction("messaging-ingest", "Bridges push batches of conversations.", messagingIngest),
  describeFunction(
    "messaging-people",
    "The people of a connection's workspace, for a bridge to match against.",
    messagingPeople,
  ),
  describeFunction("kapso-webhook", "Signed events of Kapso.", kapsoWebhook),
  describeFunction(
    "kapso-sync",
    "History from Kapso, and repair of what its webhooks missed.",
    kapsoSync,
  ),
  describeFunction(
    "conversation-sync",
    "The state of AI agents' conversations.",
    conversationSync,
  ),
  describeFunction(
    "inbox",
    "What members do in the inbox: send, read, close, assign, merge, manage connections.",
    inbox,
  ),
  describeFunction(
    "workflow-settings",
    "The settings of a workspace's AI workflows, and their sync with Kapso.",
    workflowSettings,
  ),
  describeFunction("daily-summary", "A note per person and day.", dailySummary),
  describeFunction("directory", "Which project serves a workspace.", directory),
];

/** The file of the document. */
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

/** The file that tells the functions their version. */
const VERSION_PATH = new URL("../supabase/functions/_shared/http/version.ts", import.meta.url);

if (import.meta.main) {
  const text = await Deno.readTextFile(VERSION_PATH);
  await Deno.writeTextFile(
    VERSION_PATH,
    text.replace(/VERSION = ".*"/, `VERSION = ${JSON.stringify(project.version)}`),
  );
  await Deno.writeTextFile(OPENAPI_PATH, `${JSON.stringify(createOpenApi(), null, 2)}\n`);
}
