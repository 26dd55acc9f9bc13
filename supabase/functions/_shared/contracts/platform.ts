/**
 * Platforms that conversations come from.
 *
 * @module
 */
import * as z from "zod";

/** A platform, as `connections.platform` and `conversations.platform` hold it. */
export const platform = z.enum(["whatsapp", "signal", "telegram", "wechat"]);

/** A platform. */
export type Platform = z.output<typeof platform>;
