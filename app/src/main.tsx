/**
 * Starts the app: reads the configuration, creates the client and renders.
 *
 * @module
 */

import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiProvider } from "./api/context.tsx";
import { createApiClient } from "./api/client.ts";
import { createQueryClient } from "./api/query_client.ts";
import { App } from "./app.tsx";
import { loadConfig } from "./config.ts";
import { applyStoredTheme } from "./shell/theme.ts";
import { texts } from "./texts.ts";
import { EmptyState } from "./ui/empty_state.tsx";
import { ErrorBoundary } from "./ui/error_boundary.tsx";

applyStoredTheme();
const root = createRoot(document.getElementById("root")!);
try {
  const config = await loadConfig();
  const client = createApiClient(config);
  root.render(
    <StrictMode>
      <ErrorBoundary>
        <QueryClientProvider client={createQueryClient()}>
          <ApiProvider client={client}>
            <App demo={config.demo} />
          </ApiProvider>
        </QueryClientProvider>
      </ErrorBoundary>
    </StrictMode>,
  );
} catch {
  root.render(
    <main className="center-page">
      <EmptyState
        title={texts.app.cannotStart}
        hint={texts.app.configMissing}
      />
    </main>,
  );
}
