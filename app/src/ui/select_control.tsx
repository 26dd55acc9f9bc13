/**
 * The control of a select field: its button and its list.
 *
 * @module
 */

import { CSPProvider } from "@base-ui/react/csp-provider";
import { Select } from "@base-ui/react/select";
import { Check, ChevronDown } from "lucide-react";

const OFFSET = 4;
/** Room that is kept to the edges of the window, in pixels. */
const MARGIN = 8;

/** An option to choose. */
export interface SelectOption<Value extends string> {
  value: Value;
  label: string;
}

/** What a control gets. */
export interface SelectControlProps {
  options: readonly SelectOption<string>[];
  value?: string;
  defaultValue?: string;
  name?: string;
  disabled?: boolean;
  onChange?: (value: string) => void;
  "aria-label"?: string;
  "aria-labelledby"?: string;
}

/** The control. The default export, so that it is loaded after the page. */
export default function SelectControl(
  { options, onChange, "aria-label": label, "aria-labelledby": labelId, ...rest }:
    SelectControlProps,
) {
  return (
    <Select.Root
      {...rest}
      items={options}
      modal={false}
      onValueChange={(value) => value !== null && onChange?.(value)}
    >
      <Select.Trigger
        className="input select-trigger"
        aria-label={label}
        aria-labelledby={labelId}
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
  );
}
