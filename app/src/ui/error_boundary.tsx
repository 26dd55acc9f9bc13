/**
 * Keeps a fault in one component from blanking the whole page.
 *
 * @module
 */

import { Component, type ReactNode } from "react";
import { texts } from "../texts.ts";
import { EmptyState } from "./empty_state.tsx";

/** Shows what to do when a component below failed to render. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { hasFailed: boolean }> {
  override state = { hasFailed: false };

  /** Called by React. */
  static getDerivedStateFromError() {
    return { hasFailed: true };
  }

  override render() {
    if (!this.state.hasFailed) return this.props.children;
    return (
      <div className="center-page" role="alert">
        <EmptyState
          title={texts.app.crashed}
          hint={texts.app.crashedHint}
          action={{ label: texts.app.reload, onClick: () => location.reload() }}
        />
      </div>
    );
  }
}
