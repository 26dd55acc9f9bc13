/**
 * The ticks of an outbound message.
 *
 * @module
 */

import { Check, CheckCheck, CircleAlert, CircleHelp, Clock } from "lucide-react";
import { texts } from "../texts.ts";
import type { DeliveryState } from "./delivery.ts";

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

/** The icon of a state, named for screen readers and by a tooltip. */
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
