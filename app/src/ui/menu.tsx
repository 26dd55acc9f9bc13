/**
 * A button that opens a menu.
 *
 * @module
 */

import { Menu as BaseMenu } from "@base-ui/react/menu";
import { Check } from "lucide-react";
import type { ComponentProps, ReactNode, RefObject } from "react";

const OFFSET = 6;
/** Room that is kept to the edges of the window, in pixels. */
const MARGIN = 8;

/** The button and its menu. The arrow keys move in it; Escape and a click elsewhere close it. */
export function Menu(
  {
    label,
    trigger,
    className,
    popupClassName = "",
    side = "bottom",
    align = "start",
    children,
  }: {
    label: string;
    trigger: ReactNode;
    className: string;
    popupClassName?: string;
    side?: "top" | "right" | "bottom";
    align?: "start" | "center" | "end";
    children: ReactNode;
  },
) {
  return (
    <BaseMenu.Root modal={false}>
      <BaseMenu.Trigger
        render={
          <button type="button" className={className} aria-label={label} data-hint={label}>
            {trigger}
          </button>
        }
      />
      <BaseMenu.Portal>
        <BaseMenu.Positioner
          className="popup-place"
          side={side}
          align={align}
          sideOffset={OFFSET}
          collisionPadding={MARGIN}
        >
          <BaseMenu.Popup className={`popup menu-popup ${popupClassName}`} aria-label={label}>
            {children}
          </BaseMenu.Popup>
        </BaseMenu.Positioner>
      </BaseMenu.Portal>
    </BaseMenu.Root>
  );
}

/** A menu in a row, open for as long as it is rendered, above a button elsewhere. */
export function OpenMenu({ label, className, anchor, onClose, children }: {
  label: string;
  className: string;
  anchor: RefObject<HTMLElement | null>;
  onClose: () => void;
  children: ReactNode;
}) {
  return (
    <BaseMenu.Root
      open
      modal={false}
      orientation="horizontal"
      onOpenChange={(isOpen) => {
        if (!isOpen) onClose();
      }}
    >
      <BaseMenu.Portal>
        <BaseMenu.Positioner
          className="popup-place"
          anchor={anchor}
          side="top"
          sideOffset={OFFSET}
          collisionPadding={MARGIN}
        >
          <BaseMenu.Popup
            className={`popup menu-popup ${className}`}
            aria-label={label}
            finalFocus={anchor}
          >
            {children}
          </BaseMenu.Popup>
        </BaseMenu.Positioner>
      </BaseMenu.Portal>
    </BaseMenu.Root>
  );
}

/** An entry that does something and closes the menu. */
export function MenuItem(
  { className = "menu-item", ...rest }: ComponentProps<typeof BaseMenu.Item>,
) {
  return <BaseMenu.Item {...rest} className={className} />;
}

/** An entry that leads to another page. */
export function MenuLink(props: ComponentProps<typeof BaseMenu.LinkItem>) {
  return <BaseMenu.LinkItem closeOnClick {...props} className="menu-item" />;
}

/** An entry that is on or off. The menu stays open. */
export function MenuCheckbox({ children, ...rest }: ComponentProps<typeof BaseMenu.CheckboxItem>) {
  return (
    <BaseMenu.CheckboxItem {...rest} className="menu-item">
      <span className="menu-check" aria-hidden>
        <BaseMenu.CheckboxItemIndicator>
          <Check size={13} strokeWidth={3} />
        </BaseMenu.CheckboxItemIndicator>
      </span>
      {children}
    </BaseMenu.CheckboxItem>
  );
}

/** A choice of one, side by side. The menu stays open. */
export function MenuChoice<Value extends string>({ label, value, options, onChange }: {
  label: string;
  value: Value;
  options: readonly { value: Value; label: ReactNode }[];
  onChange: (value: Value) => void;
}) {
  return (
    <BaseMenu.RadioGroup
      className="segmented menu-block"
      aria-label={label}
      value={value}
      onValueChange={(chosen: Value) => onChange(chosen)}
    >
      {options.map((option) => (
        <BaseMenu.RadioItem key={option.value} value={option.value} className="segment">
          {option.label}
        </BaseMenu.RadioItem>
      ))}
    </BaseMenu.RadioGroup>
  );
}
