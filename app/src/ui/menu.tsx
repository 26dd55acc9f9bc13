/**
 * A button that opens a small panel, over the page and out of its flow.
 *
 * @module
 */

import { type ReactNode, useEffect, useId, useRef, useState } from "react";

/** The button and its panel. Escape, a click elsewhere and leaving it with Tab close it. */
export function Menu(
  { label, trigger, className = "", panelClassName = "", children }: {
    label: string;
    trigger: ReactNode;
    className?: string;
    panelClassName?: string;
    children: (close: () => void) => ReactNode;
  },
) {
  const [isOpen, setIsOpen] = useState(false);
  const id = useId();
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const close = () => {
    setIsOpen(false);
    button.current?.focus();
  };

  useEffect(() => {
    if (!isOpen) return;
    const onPointerDown = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) setIsOpen(false);
    };
    document.addEventListener("pointerdown", onPointerDown);
    return () => document.removeEventListener("pointerdown", onPointerDown);
  }, [isOpen]);

  return (
    <div
      className="menu"
      ref={root}
      onKeyDown={(event) => {
        if (event.key === "Escape" && isOpen) {
          event.stopPropagation();
          close();
        }
      }}
      onBlur={(event) => {
        if (
          event.relatedTarget && !root.current?.contains(event.relatedTarget)
        ) setIsOpen(false);
      }}
    >
      <button
        type="button"
        ref={button}
        className={className}
        aria-label={label}
        title={label}
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        onClick={() => setIsOpen(!isOpen)}
      >
        {trigger}
      </button>
      {isOpen && (
        <div className={`menu-panel ${panelClassName}`} id={id}>
          {children(close)}
        </div>
      )}
    </div>
  );
}
