/**
 * What a connection is: one bridge, bot or phone number of a workspace.
 *
 * @module
 */
import * as z from "zod";

/** Platforms that conversations come from. */
export const platform = z.enum(["whatsapp", "signal", "telegram", "wechat"]);

/** A platform that conversations come from. */
export type Platform = z.output<typeof platform>;
