/**
 * Light or dark: the setting of the system, unless the user chose one.
 *
 * @module
 */

import { useState } from "react";

/** The choices. */
export type Theme = "system" | "light" | "dark";

const KEY = "inbox.theme";

/** Applies the choice of an earlier visit. */
export function applyStoredTheme(): void {
  apply(readTheme());
}

/** Returns the theme and a function that changes it. */
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
