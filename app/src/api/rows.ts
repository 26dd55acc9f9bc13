/**
 * Types of everything the app reads and writes: from the contracts of the functions and the generated types
 * of the database, so that a change there fails the type check here. Types only: no code of the functions
 * gets into the app.
 *
 * @module
 */

import type * as z from "zod";
import type { Platform } from "../../../supabase/functions/_shared/contracts/connection.ts";
import type { sendMessage } from "../../../supabase/functions/_shared/contracts/inbox/messages.ts";
import type { Role } from "../../../supabase/functions/_shared/contracts/inbox/views.ts";
import type { Database } from "../../../supabase/functions/_shared/database/database.types.ts";

export type { Database, Platform, Role };
export type {
  Connection,
  KapsoProblem,
  WebhookHealth,
} from "../../../supabase/functions/_shared/contracts/inbox/connections.ts";
export type {
  Conversation,
  KapsoResult,
} from "../../../supabase/functions/_shared/contracts/inbox/conversations.ts";
export type { Upload } from "../../../supabase/functions/_shared/contracts/inbox/media.ts";
export type {
  OutboxMessage,
  Template,
} from "../../../supabase/functions/_shared/contracts/inbox/messages.ts";
export type { PersonMerge } from "../../../supabase/functions/_shared/contracts/inbox/people.ts";
export type {
  Answering,
  HealthCheck,
  HealthStatus,
  InboxMessage as Message,
  MessageHit,
  OverviewStatistics,
  TagColour,
} from "../../../supabase/functions/_shared/contracts/inbox/views.ts";
export type { SyncRun } from "../../../supabase/functions/_shared/contracts/kapso_sync.ts";
export type {
  SummaryMetadata,
  SummaryRun,
  SummarySettings,
} from "../../../supabase/functions/_shared/contracts/daily_summary.ts";
export type {
  FieldChange,
  KapsoWorkflow,
  SyncStatus,
  WorkflowFinding,
  WorkflowHistoryEntry,
  WorkflowManual,
  WorkflowSetting,
} from "../../../supabase/functions/_shared/contracts/workflow_settings.ts";
export type { WorkflowValues } from "../../../supabase/functions/_shared/contracts/workflow_values.ts";

type Row<Table extends keyof Database["public"]["Tables"]> =
  Database["public"]["Tables"][Table]["Row"];

/** Platforms, in the order in which they are offered. */
export const PLATFORMS: readonly Platform[] = ["whatsapp", "signal", "telegram", "wechat"];

/** A workspace, with the role of the user in it. */
export type Workspace =
  & Pick<Row<"workspaces">, "id" | "slug" | "name" | "time_zone" | "has_message_search">
  & { role: Role };

/** A member of a workspace. */
export type Member = Database["public"]["Functions"]["workspace_member_list"]["Returns"][number];

/** A tag of a workspace. */
export type Tag = Pick<Row<"tags">, "id" | "name" | "colour">;

/** A canned reply; `shortcut` is typed after a slash to find it. */
export type CannedReply = Pick<Row<"canned_replies">, "id" | "shortcut" | "title" | "content">;

/** A contact. */
export type Person = Pick<
  Row<"people">,
  "id" | "workspace_id" | "name" | "kapso_name" | "email" | "phone" | "last_activity_at"
>;

/** How a person is known on a platform. */
export type PersonIdentity = Pick<Row<"person_identities">, "id" | "platform" | "identifier">;

/** A note about a person. */
export type PersonNote = Row<"person_notes">;

/** The request that sends a message. Its idempotency key stays the same for every retry. */
export type NewMessage = z.input<(typeof sendMessage)["body"]>;
