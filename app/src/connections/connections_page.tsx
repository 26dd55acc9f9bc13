/** @module */
export function ConnectionsPage() {
  return null;
}
