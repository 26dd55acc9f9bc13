/**
 * How far a sent message has come.
 *
 * @module
 */

import { Check, CheckCheck, CircleAlert, CircleHelp, Clock } from "lucide-react";
import { texts } from "../texts.ts";

/** States that are shown. */
export type DeliveryState = keyof typeof texts.thread.status;

const ICONS = {
  pending: Clock,
  queued: Clock,
  sending: Clock,
  sent: Check,
  delivered: CheckCheck,
  read: CheckCheck,
  failed: CircleAlert,
  unconfirmed: CircleHelp,
} as const;

/** The sign, and its name for screen readers and as a tooltip. */
export function Ticks({ state }: { state: DeliveryState }) {
  const Icon = ICONS[state];
  const label = texts.thread.status[state];
  return (
    <span
      className={`ticks ticks-${state}`}
      role="img"
      aria-label={label}
      title={label}
    >
      <Icon size={15} aria-hidden />
    </span>
  );
}
