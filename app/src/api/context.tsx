/**
 * Provides the API client to components.
 *
 * @module
 */

import { createContext, type ReactNode, useContext } from "react";
import type { ApiClient } from "./client.ts";

const ApiContext = createContext<ApiClient | undefined>(undefined);

/** Provides the client to everything below. */
export function ApiProvider(
  { client, children }: { client: ApiClient; children: ReactNode },
) {
  return <ApiContext value={client}>{children}</ApiContext>;
}

/** Returns the client. */
export function useApi(): ApiClient {
  const client = useContext(ApiContext);
  if (!client) throw new Error("useApi outside of ApiProvider");
  return client;
}
