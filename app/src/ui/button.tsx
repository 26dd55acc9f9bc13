/**
 * Buttons with a text.
 *
 * @module
 */

import type { LucideIcon } from "lucide-react";
import type { ComponentProps } from "react";
import { Spinner } from "./spinner.tsx";

/** A button with a text. While it is busy it cannot be pressed and keeps its size. */
export function Button(
  {
    variant = "secondary",
    icon: Icon,
    isBusy = false,
    className = "",
    children,
    ...rest
  }:
    & ComponentProps<"button">
    & {
      variant?: "primary" | "secondary" | "quiet" | "danger";
      icon?: LucideIcon;
      isBusy?: boolean;
    },
) {
  return (
    <button
      type="button"
      {...rest}
      className={`button button-${variant} ${className}`}
      disabled={rest.disabled || isBusy}
    >
      {isBusy ? <Spinner /> : Icon && <Icon size={16} aria-hidden />}
      {children}
    </button>
  );
}
