/**
 * A name and its value in a list of facts.
 *
 * @module
 */

import type { ReactNode } from "react";
import { formatAgo, formatDateTime } from "../format.ts";
import { texts } from "../texts.ts";

/** A fact; belongs in a `dl`. */
export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** How long ago something happened; hovering shows the time. */
export function Moment({ at }: { at: string | null }) {
  if (at === null) return texts.common.never;
  return <time dateTime={at} title={formatDateTime(at)}>{formatAgo(at)}</time>;
}
