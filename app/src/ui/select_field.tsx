/**
 * A labelled choice of one of a few.
 *
 * @module
 */

import { CSPProvider } from "@base-ui/react/csp-provider";
import { Select } from "@base-ui/react/select";
import { Check, ChevronDown } from "lucide-react";
import { useId } from "react";

const OFFSET = 4;
/** Room that is kept to the edges of the window, in pixels. */
const MARGIN = 8;

/** One of the choices. */
export interface SelectOption<Value extends string> {
  value: Value;
  label: string;
}

/** The field. With a `name` its value is part of the form around it; without a `value` it keeps its own. */
export function SelectField<Value extends string>(
  { label, isLabelHidden = false, className = "", options, onChange, ...rest }: {
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
  return (
    <div className={`field ${className}`}>
      {!isLabelHidden && <span className="field-label" id={id}>{label}</span>}
      <Select.Root
        {...rest}
        items={options}
        modal={false}
        onValueChange={(value) => value !== null && onChange?.(value)}
      >
        <Select.Trigger
          className="input select-trigger"
          {...(isLabelHidden ? { "aria-label": label } : { "aria-labelledby": id })}
        >
          <Select.Value className="select-value" />
          <Select.Icon className="select-icon">
            <ChevronDown size={15} aria-hidden />
          </Select.Icon>
        </Select.Trigger>
        {/* The content security policy allows no style elements. */}
        <CSPProvider disableStyleElements>
          <Select.Portal>
            <Select.Positioner
              className="popup-place"
              alignItemWithTrigger={false}
              sideOffset={OFFSET}
              collisionPadding={MARGIN}
            >
              <Select.Popup className="popup select-popup">
                <Select.List className="select-list">
                  {options.map((option) => (
                    <Select.Item key={option.value} value={option.value} className="select-item">
                      <Select.ItemText>{option.label}</Select.ItemText>
                      <Select.ItemIndicator className="select-check">
                        <Check size={15} aria-hidden />
                      </Select.ItemIndicator>
                    </Select.Item>
                  ))}
                </Select.List>
              </Select.Popup>
            </Select.Positioner>
          </Select.Portal>
        </CSPProvider>
      </Select.Root>
    </div>
  );
}
