/**
 * Light or dark: as the system has it, unless the person chose.
 *
 * @module
 */

import { useState } from "react";

/** What can be chosen. */
export type Theme = "system" | "light" | "dark";

const KEY = "inbox.theme";

/** Applies what was chosen on an earlier visit. */
export function applyStoredTheme(): void {
  apply(readTheme());
}

/** The theme, and how to change it. */
export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState(readTheme);
  return [theme, (chosen) => {
    localStorage.setItem(KEY, chosen);
    apply(chosen);
    setTheme(chosen);
  }];
}

function readTheme(): Theme {
  const stored = localStorage.getItem(KEY);
  return stored === "light" || stored === "dark" ? stored : "system";
}

function apply(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
}
