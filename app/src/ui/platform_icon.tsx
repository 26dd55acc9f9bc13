/**
 * An icon for each platform.
 *
 * @module
 */

import { MessageCircle, MessagesSquare, Send, Shield } from "lucide-react";
import type { Platform } from "../api/rows.ts";

const ICONS = {
  whatsapp: MessageCircle,
  telegram: Send,
  signal: Shield,
  wechat: MessagesSquare,
} as const;

/** The icon, alone or as a badge on an avatar. Decoration: the platform is also written. */
export function PlatformIcon({ platform, isBadge = false }: {
  platform: Platform;
  isBadge?: boolean;
}) {
  const Icon = ICONS[platform];
  return (
    <span
      className={`platform platform-${platform} ${isBadge ? "platform-badge" : ""}`}
      aria-hidden
    >
      <Icon size={isBadge ? 10 : 14} strokeWidth={2.5} />
    </span>
  );
}
