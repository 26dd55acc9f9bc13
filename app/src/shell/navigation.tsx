/**
 * The entries of the main navigation, in their order.
 *
 * @module
 */

import {
  BarChart3,
  Bot,
  type LucideIcon,
  MessageSquareText,
  NotebookText,
  Unplug,
} from "lucide-react";
import { PAGES } from "../pages.ts";
import { texts } from "../texts.ts";

/** A link of the navigation. */
export interface NavigationEntry {
  path: string;
  label: string;
  icon: LucideIcon;
}

/** All of them. */
export const NAVIGATION: readonly NavigationEntry[] = [
  { path: PAGES.inbox, label: texts.nav.inbox, icon: MessageSquareText },
  { path: PAGES.overview, label: texts.nav.overview, icon: BarChart3 },
  { path: PAGES.summaries, label: texts.nav.summaries, icon: NotebookText },
  { path: PAGES.workflows, label: texts.nav.workflows, icon: Bot },
  { path: PAGES.connections, label: texts.nav.connections, icon: Unplug },
];
