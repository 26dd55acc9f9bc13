/**
 * Which page is shown: the sign-in, or the workspace that the address names.
 *
 * @module
 */

import { lazy, Suspense } from "react";
import { Redirect, Route, Router, Switch } from "wouter";
import { useHashLocation } from "wouter/use-hash-location";
import { ConnectionsPage } from "./connections/connections_page.tsx";
import type { AppConfig } from "./config.ts";
import { InboxPage } from "./inbox/inbox_page.tsx";
import { SessionProvider, useSession } from "./session/session.tsx";
import { SignInPage } from "./session/sign_in_page.tsx";
import { PAGES } from "./shell/pages.ts";
import { Shell } from "./shell/shell.tsx";
import { texts } from "./texts.ts";
import { EmptyState } from "./ui/empty_state.tsx";
import { ErrorBoundary } from "./ui/error_boundary.tsx";
import { PageSpinner } from "./ui/spinner.tsx";
import { WorkspaceProvider } from "./workspace/workspace.tsx";

// The chart is most of the code of the app, and most visits never see it.
const OverviewPage = lazy(() => import("./overview/overview_page.tsx"));
const SummariesPage = lazy(() => import("./summaries/summaries_page.tsx"));
const WorkflowsPage = lazy(() => import("./workflows/workflows_page.tsx"));

/** Everything. */
export function App({ demo }: { demo: AppConfig["demo"] }) {
  return (
    <SessionProvider>
      <SignedInOnly demo={demo} />
    </SessionProvider>
  );
}

function SignedInOnly({ demo }: { demo: AppConfig["demo"] }) {
  const session = useSession();
  if (session === "unknown") return <PageSpinner />;
  if (session === "signed-out") return <SignInPage demo={demo} />;
  // The hash, because a static host knows no paths but those of its files: every address can be reloaded.
  return (
    <Router hook={useHashLocation}>
      <WorkspaceProvider>
        {(workspace) => (
          <Shell>
            <ErrorBoundary key={workspace.id}>
              <Suspense fallback={<PageSpinner />}>
                <Switch>
                  <Route path={`/:workspace${PAGES.inbox}/:conversation?`}>
                    {({ conversation }) => <InboxPage conversationId={conversation} />}
                  </Route>
                  <Route
                    path={`/:workspace${PAGES.overview}`}
                    component={OverviewPage}
                  />
                  <Route path={`/:workspace${PAGES.summaries}/:date?`}>
                    {({ date }) => <SummariesPage date={date} />}
                  </Route>
                  <Route path={`/:workspace${PAGES.workflows}/:type?`}>
                    {({ type }) => <WorkflowsPage type={type} />}
                  </Route>
                  <Route
                    path={`/:workspace${PAGES.messaging}`}
                    component={ConnectionsPage}
                  />
                  <Route path="/:workspace?">
                    <Redirect to={`/${workspace.slug}${PAGES.inbox}`} replace />
                  </Route>
                  <Route>
                    <EmptyState
                      title={texts.app.notFound}
                      action={{
                        label: texts.app.backToInbox,
                        href: `#/${workspace.slug}/inbox`,
                      }}
                    />
                  </Route>
                </Switch>
              </Suspense>
            </ErrorBoundary>
          </Shell>
        )}
      </WorkspaceProvider>
    </Router>
  );
}
