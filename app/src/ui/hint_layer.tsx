/**
 * Tooltips: a word about an element with the attribute `data-hint`, for the mouse and the keyboard. One
 * tooltip serves the whole page, because a thread draws dozens of icon buttons.
 *
 * @module
 */

import { Tooltip } from "@base-ui/react/tooltip";
import { useEffect, useState } from "react";

const DELAY_MS = 600;
const OFFSET = 6;

/** Draws the tooltip; stands once in the app. */
export function HintLayer() {
  const element = useHintedElement();
  return (
    <Tooltip.Root open={element !== undefined}>
      <Tooltip.Portal>
        <Tooltip.Positioner className="hint-place" anchor={element} sideOffset={OFFSET}>
          <Tooltip.Popup className="hint">{element?.dataset.hint}</Tooltip.Popup>
        </Tooltip.Positioner>
      </Tooltip.Portal>
    </Tooltip.Root>
  );
}

/** The element that the mouse rests on, or that the keyboard has moved to. Pressing anything hides it. */
function useHintedElement(): HTMLElement | undefined {
  const [element, setElement] = useState<HTMLElement>();
  useEffect(() => {
    let hovered: HTMLElement | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const find = (target: EventTarget | null) =>
      target instanceof Element
        ? target.closest<HTMLElement>("[data-hint]") ?? undefined
        : undefined;
    const hide = () => {
      clearTimeout(timer);
      setElement(undefined);
    };
    const onPointerOver = ({ target, pointerType }: PointerEvent) => {
      const found = pointerType === "mouse" ? find(target) : undefined;
      if (found === hovered) return;
      hovered = found;
      hide();
      if (found) timer = setTimeout(() => setElement(found), DELAY_MS);
    };
    const onFocusIn = ({ target }: FocusEvent) => {
      const found = find(target);
      hide();
      if (found?.matches(":focus-visible")) setElement(found);
    };
    const controller = new AbortController();
    const options = { signal: controller.signal, capture: true, passive: true };
    document.addEventListener("pointerover", onPointerOver, options);
    document.addEventListener("focusin", onFocusIn, options);
    for (const event of ["pointerdown", "keydown", "focusout", "scroll"]) {
      document.addEventListener(event, hide, options);
    }
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, []);
  return element;
}
