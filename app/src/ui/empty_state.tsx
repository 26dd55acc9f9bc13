/**
 * What an empty page or list shows.
 *
 * @module
 */

import type { LucideIcon } from "lucide-react";
import { Button } from "./button.tsx";

/** A title, a hint and the next step. */
export function EmptyState(
  { title, hint, icon: Icon, action, level: Heading = "h2" }: {
    title: string;
    hint?: string;
    icon?: LucideIcon;
    action?: { label: string; href?: string; onClick?: () => void };
    level?: "h2" | "h3";
  },
) {
  return (
    <div className="empty-state">
      {Icon && (
        <div className="empty-state-icon" aria-hidden>
          <Icon size={26} strokeWidth={1.6} />
        </div>
      )}
      <Heading>{title}</Heading>
      {hint && <p>{hint}</p>}
      {action?.href && (
        <a className="button button-primary" href={action.href}>
          {action.label}
        </a>
      )}
      {action?.onClick && (
        <Button variant="primary" onClick={action.onClick}>
          {action.label}
        </Button>
      )}
    </div>
  );
}
