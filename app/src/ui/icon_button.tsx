/**
 * Buttons that are only an icon.
 *
 * @module
 */

import type { LucideIcon } from "lucide-react";
import type { ComponentProps } from "react";

/** A button that is only an icon; `label` names it for screen readers and in a tooltip. */
export function IconButton(
  { label, icon: Icon, className = "", size = 18, ...rest }:
    & Omit<ComponentProps<"button">, "children">
    & {
      label: string;
      icon: LucideIcon;
      size?: number;
    },
) {
  return (
    <button
      type="button"
      {...rest}
      className={`icon-button ${className}`}
      aria-label={label}
      data-hint={label}
    >
      <Icon size={size} aria-hidden />
    </button>
  );
}
