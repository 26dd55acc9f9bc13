/**
 * The pages of a workspace: their paths below `#/<workspace>`.
 *
 * @module
 */

/** Paths. A new page gets a line here, a route in `app.tsx` and an entry in `navigation.tsx`. */
export const PAGES = {
  inbox: "/inbox",
  overview: "/overview",
  summaries: "/summaries",
  workflows: "/workflows",
  messaging: "/import/messaging",
} as const;
