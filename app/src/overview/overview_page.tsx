/** @module */
export default function OverviewPage() {
  return null;
}
