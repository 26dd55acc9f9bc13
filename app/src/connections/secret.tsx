/**
 * A secret that is shown once.
 *
 * @module
 */

import { CopyButton } from "../ui/copy_button.tsx";

/** The secret, with a button that copies it. Only this component holds it. */
export function Secret({ value, label }: { value: string; label: string }) {
  return (
    <div className="secret">
      <code aria-label={label} tabIndex={0} role="textbox" aria-readonly>
        {value}
      </code>
      <CopyButton text={value} what={label} />
    </div>
  );
}
