/**
 * A labelled field to choose one of a few options.
 *
 * @module
 */

import { ChevronDown } from "lucide-react";
import { Suspense, useId } from "react";
import { lazyAfterPage } from "./lazy.ts";
import type { SelectOption } from "./select_control.tsx";

export type { SelectOption };

const SelectControl = lazyAfterPage(() => import("./select_control.tsx"));

/** The field. With a `name` its value is part of the form around it; without a `value` it keeps its own. */
export function SelectField<Value extends string>(
  { label, isLabelHidden = false, className = "", onChange, ...rest }: {
    label: string;
    isLabelHidden?: boolean;
    className?: string;
    options: readonly SelectOption<Value>[];
    value?: Value;
    defaultValue?: Value;
    name?: string;
    disabled?: boolean;
    onChange?: (value: Value) => void;
  },
) {
  const id = useId();
  const shown = rest.value ?? rest.defaultValue;
  return (
    <div className={`field ${className}`}>
      {!isLabelHidden && <span className="field-label" id={id}>{label}</span>}
      <Suspense
        fallback={
          // Looks like the control, until that is loaded.


            <div className="input select-trigger">
              <span className="select-value">
                {rest.options.find(({ value }) => value === shown)?.label}
              </span>
              <ChevronDown className="select-icon" size={15} aria-hidden />
            </div>

        }
      >
        <SelectControl
          {...rest}
          onChange={(value) => onChange?.(value as Value)}
          {...(isLabelHidden ? { "aria-label": label } : { "aria-labelledby": id })}
        />
      </Suspense>
    </div>
  );
}
