/**
 * A labelled field of a form.
 *
 * @module
 */

import { type ComponentProps, useId } from "react";

/** A line of text with its label, and a hint below it. */
export function TextField(
  { label, hint, ...rest }: ComponentProps<"input"> & {
    label: string;
    hint?: string;
  },
) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        {...rest}
        id={id}
        className="input"
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
      />
      {hint !== undefined && <p className="field-hint" id={`${id}-hint`}>{hint}</p>}
    </div>
  );
}
