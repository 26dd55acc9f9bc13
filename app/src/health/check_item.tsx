/**
 * One check: its status, what was found, and what to do.
 *
 * @module
 */

import {
  CircleCheck,
  CircleQuestionMark,
  CircleX,
  type LucideIcon,
  TriangleAlert,
} from "lucide-react";
import type { HealthStatus } from "../api/rows.ts";
import { formatDateTime } from "../format.ts";
import { type Check, checkTitle, readText } from "./checks.ts";
import { healthTexts } from "./texts.ts";

/** A sign for each status, so that colour is not all that tells them apart. */
export const STATUS_ICONS: Record<HealthStatus, LucideIcon> = {
  problem: CircleX,
  warning: TriangleAlert,
  unknown: CircleQuestionMark,
  ok: CircleCheck,
};

const TONES: Record<HealthStatus, string | undefined> = {
  problem: "bad",
  warning: "warning",
  unknown: undefined,
  ok: "good",
};

/** The check; belongs in a list. */
export function CheckItem({ check }: { check: Check }) {
  const { name, status, found, what_to_do } = check;
  const Icon = STATUS_ICONS[status];
  const purpose = healthTexts.checks[name]?.purpose;
  return (
    <li className="health-check" data-status={status}>
      <Icon className="health-sign" size={20} aria-hidden />
      <div className="health-check-body">
        <div className="health-check-head">
          <h3>{checkTitle(name)}</h3>
          <span className="tag" data-tone={TONES[status]}>{healthTexts.status[status]}</span>
        </div>
        {purpose !== undefined && <p className="muted">{purpose}</p>}
        <p className="health-found">
          <CheckText text={found} />
        </p>
        {what_to_do !== null && (
          <p className="health-step">
            <strong>{healthTexts.whatToDo}</strong> <CheckText text={what_to_do} />
          </p>
        )}
      </div>
    </li>
  );
}

function CheckText({ text }: { text: string }) {
  return readText(text).map((part, index) =>
    "time" in part
      ? <time key={index} dateTime={part.time}>{formatDateTime(part.time)}</time>
      : part.text
  );
}
