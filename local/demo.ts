/**
 * Names and keys of the demo data: the person, the workspace, the connections. `supabase/seed.sql` creates
 * exactly these rows; change both together.
 *
 * The keys are public on purpose. They are valid only on a machine that was seeded with them, and a fixed key
 * lets the `curl` line of the README work when it is pasted.
 *
 * @module
 */

/** The demo rows of `supabase/seed.sql`, by the names the JSON line of `deno task start` uses. */
export const DEMO = {
  email: "demo@example.com",
  password: "demo-password",
  workspace: "demo",
  connection_id: "wa_business_123",
  /** `msg_` and 32 characters, the shape of every key of a bridge. */
  api_key: "msg_DemoKeyForThisMachineOnly0000001",
  /** `agt_` and 32 characters, the shape of every key of an AI agent. */
  agent_key: "agt_DemoKeyForThisMachineOnly0000001",
  kapso_phone_number_id: "100000000000123",
} as const;

/** The demo connections of `supabase/seed.sql`, as their bridges name them. */
export const DEMO_CONNECTIONS = {
  whatsapp: { platform: "whatsapp", connection_id: DEMO.connection_id, api_key: DEMO.api_key },
  telegram: {
    platform: "telegram",
    connection_id: "tg_bot_456",
    api_key: "msg_DemoTelegramKeyForThisMachine001",
  },
  signal: {
    platform: "signal",
    connection_id: "signal_123",
    api_key: "msg_DemoSignalKeyForThisMachine00001",
  },
} as const;
