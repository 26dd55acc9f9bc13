/**
 * Compares two sides, field by field.
 *
 * @module
 */

import { useMemo, useState } from "react";
import { texts } from "../texts.ts";
import { differenceOf, type Part } from "./difference.ts";
import type { FieldChange } from "../api/rows.ts";

type Value = string | number | null;

/** The fields that differ. `isPreview`: values at Kapso now, and after the sync. */
export function Comparison({ changes, isPreview = false }: {
  changes: FieldChange[];
  isPreview?: boolean;
}) {
  return (
    <ul className="comparison">
      {changes.map((change) => (
        <li key={`${change.node_id} ${change.field} ${change.label}`}>
          <FieldComparison change={change} isPreview={isPreview} />
        </li>
      ))}
    </ul>
  );
}

function FieldComparison({ change, isPreview }: { change: FieldChange; isPreview: boolean }) {
  const name = texts.workflows.fields[change.field];
  const node = change.node_name === change.node_id
    ? change.node_id
    : `${change.node_name} · ${change.node_id}`;
  return (
    <section aria-label={name}>
      <h3 className="comparison-head">
        {name} <span className="muted">{node}{change.label !== null && ` · ${change.label}`}</span>
      </h3>
      <BothSides
        one={change.kapso}
        other={change.settings}
        names={isPreview
          ? [texts.workflows.isNow, texts.workflows.willBe]
          : [texts.workflows.atKapso, texts.workflows.here]}
      />
      {!isPreview && change.is_conflict && (
        <details>
          <summary>{texts.workflows.lastTime}</summary>
          <Text
            label={texts.workflows.lastTime}
            parts={[{
              text: change.last_synced === null
                ? texts.workflows.neverSynced
                : String(change.last_synced),
              isChanged: false,
            }]}
          />
        </details>
      )}
    </section>
  );
}

/** Two values side by side, with the difference marked. Long equal parts are cut, and shown on demand. */
export function BothSides({ one, other, names }: {
  one: Value;
  other: Value;
  names: [string, string];
}) {
  const [isWhole, setIsWhole] = useState(false);
  // The form beside it renders with every keystroke.
  const difference = useMemo(
    () => differenceOf(String(one ?? ""), String(other ?? ""), isWhole),
    [one, other, isWhole],
  );
  const sides = [difference.one, difference.other];
  return (
    <>
      <div className="sides">
        {[one, other].map((value, index) => (
          <div className="side" key={index}>
            <p className="side-name">{names[index]}</p>
            {value === null
              ? <p className="muted">{texts.workflows.nothing}</p>
              : <Text label={names[index]!} parts={sides[index]!} />}
          </div>
        ))}
      </div>
      {(difference.isCut || isWhole) && (
        <button
          type="button"
          className="link-button"
          onClick={() => setIsWhole(!isWhole)}
        >
          {isWhole ? texts.workflows.showPart : texts.workflows.showWhole}
        </button>
      )}
    </>
  );
}

function Text({ label, parts }: { label: string; parts: Part[] }) {
  return (
    <pre className="side-text" tabIndex={0} role="region" aria-label={label}>
      {parts.map(({ text, isChanged }, index) =>
        isChanged ? <mark key={index}>{text}</mark> : <span key={index}>{text}</span>
      )}
    </pre>
  );
}
