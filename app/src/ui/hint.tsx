/**
 * Tooltips: a word about a button that is only an icon, for the pointer and the keyboard.
 *
 * @module
 */

import { Tooltip } from "@base-ui/react/tooltip";
import type { ComponentProps, ReactElement } from "react";

/** All triggers share one tooltip, which {@linkcode HintLayer} draws. */
const hints = Tooltip.createHandle<string>();
const OFFSET = 6;

/** Shows `text` while its only child is hovered or has the keyboard focus. The child keeps its own name. */
export function Hint({ text, children, ...rest }:
  & Omit<ComponentProps<"button">, "children">
  & { text: string; children: ReactElement }) {
  return <Tooltip.Trigger {...rest} handle={hints} payload={text} render={children} />;
}

/** Draws the tooltip; stands once in the app. */
export function HintLayer() {
  return (
    <Tooltip.Root handle={hints}>
      {({ payload }) => (
        <Tooltip.Portal>
          <Tooltip.Positioner className="hint-place" sideOffset={OFFSET}>
            <Tooltip.Popup className="hint">{payload}</Tooltip.Popup>
          </Tooltip.Positioner>
        </Tooltip.Portal>
      )}
    </Tooltip.Root>
  );
}
