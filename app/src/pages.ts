/**
 * The pages of a workspace: their paths below `#/<workspace>`.
 *
 * @module
 */

/**
 * Paths. A new page needs a line here, a route in `app.tsx`, and an entry in `shell/navigation.tsx` or, for one that
 * is seldom opened, in `shell/account_menu.tsx`.
 */
export const PAGES = {
  inbox: "/inbox",
  overview: "/overview",
  summaries: "/summaries",
  workflows: "/workflows",
  connections: "/connections",
  health: "/health",
} as const;

/** Former paths, so that bookmarks keep working, and where they lead now. */
export const FORMER_PATHS = {
  "/import/messaging": PAGES.connections,
} as const;
