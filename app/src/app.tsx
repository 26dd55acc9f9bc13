/**
 * Which page is shown: the sign-in, or the page of the workspace that the address names.
 *
 * @module
 */

import { Suspense, useEffect } from "react";
import { Redirect, Route, Router, Switch } from "wouter";
import { claimDrafts, clearDrafts } from "./composer/drafts.ts";
import type { AppConfig } from "./config.ts";
import { InboxPage } from "./inbox/inbox_page.tsx";
import { FORMER_PATHS, PAGES } from "./pages.ts";
import { SessionProvider, useSession } from "./session/session.tsx";
import { onSessionEnd } from "./session/session_end.ts";
import { SignInPage } from "./session/sign_in_page.tsx";
import { Shell } from "./shell/shell.tsx";
import { texts } from "./texts.ts";
import { EmptyState } from "./ui/empty_state.tsx";
import { ErrorBoundary } from "./ui/error_boundary.tsx";
import { useHashPath } from "./ui/hash_location.ts";
import { lazy, lazyAfterPage } from "./ui/lazy.ts";
import { PageSpinner } from "./ui/spinner.tsx";
import { WorkspaceProvider } from "./workspace/workspace.tsx";

// The inbox is what most visits are for; every other page is loaded when it is opened.
const ConnectionsPage = lazy(() => import("./connections/connections_page.tsx"));
const HealthPage = lazy(() => import("./health/health_page.tsx"));
const OverviewPage = lazy(() => import("./overview/overview_page.tsx"));
const SummariesPage = lazy(() => import("./summaries/summaries_page.tsx"));
const WorkflowsPage = lazy(() => import("./workflows/workflows_page.tsx"));
const Overlays = lazyAfterPage(() => import("./ui/overlays.tsx"));

// An expired session keeps its drafts: the same user may sign in again.
onSessionEnd((reason) => reason === "signed-out" && clearDrafts());

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
  const userId = typeof session === "object" ? session.id : undefined;
  useEffect(() => {
    if (userId !== undefined) claimDrafts(userId);
  }, [userId]);
  if (session === "unknown") return <PageSpinner />;
  if (session === "signed-out") return <SignInPage demo={demo} />;
  return (
    <Router hook={useHashPath}>
      <WorkspaceProvider>
        {(workspace) => (
          <Shell>
            <ErrorBoundary key={workspace.id}>
              <Suspense fallback={<PageSpinner />}>
                <Pages slug={workspace.slug} />
              </Suspense>
            </ErrorBoundary>
          </Shell>
        )}
      </WorkspaceProvider>
      <Suspense>
        <Overlays />
      </Suspense>
    </Router>
  );
}

function Pages({ slug }: { slug: string }) {
  return (
    <Switch>
      <Route path={`/:workspace${PAGES.inbox}/:conversation?`}>
        {({ conversation }) => <InboxPage conversationId={conversation} />}
      </Route>
      <Route path={`/:workspace${PAGES.overview}`} component={OverviewPage} />
      <Route path={`/:workspace${PAGES.summaries}/:date?`}>
        {({ date }) => <SummariesPage date={date} />}
      </Route>
      <Route path={`/:workspace${PAGES.workflows}/:type?`}>
        {({ type }) => <WorkflowsPage type={type} />}
      </Route>
      <Route path={`/:workspace${PAGES.connections}`} component={ConnectionsPage} />
      <Route path={`/:workspace${PAGES.health}`} component={HealthPage} />
      {Object.entries(FORMER_PATHS).map(([former, path]) => (
        <Route key={former} path={`/:workspace${former}`}>
          <Redirect to={`/${slug}${path}`} replace />
        </Route>
      ))}
      <Route path="/:workspace?">
        <Redirect to={`/${slug}${PAGES.inbox}`} replace />
      </Route>
      <Route>
        <EmptyState
          title={texts.app.notFound}
          action={{ label: texts.app.backToInbox, href: `#/${slug}${PAGES.inbox}` }}
        />
      </Route>
    </Switch>
  );
}
