/**
 * The entries of the main navigation, in their order and groups.
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
import { texts } from "../texts.ts";
import { PAGES } from "./pages.ts";

/** A link of the navigation. */
export interface NavigationEntry {
  path: string;
  label: string;
  /** What it belongs to, where the label alone does not say it: Import → Messaging. */
  group?: string;
  icon: LucideIcon;
}

/** All of them. */
export const NAVIGATION: readonly NavigationEntry[] = [
  { path: PAGES.inbox, label: texts.nav.inbox, icon: MessageSquareText },
  { path: PAGES.overview, label: texts.nav.overview, icon: BarChart3 },
  { path: PAGES.summaries, label: texts.nav.summaries, icon: NotebookText },
  { path: PAGES.workflows, label: texts.nav.workflows, icon: Bot },
  {
    path: PAGES.messaging,
    label: texts.nav.messaging,
    group: texts.nav.import,
    icon: Unplug,
  },
];
