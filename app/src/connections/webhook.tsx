/**
 * The webhook of a number at Kapso: its health, and a button that registers or repairs it.
 *
 * @module
 */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { RefreshCw, Wrench } from "lucide-react";
import { useApi } from "../api/context.tsx";
import type { Connection, WebhookHealth } from "../api/rows.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { showError } from "../ui/toast.ts";
import { webhookQuery } from "./queries.ts";

const TONES = {
  active: "good",
  paused: "bad",
  missing: "warning",
  incomplete: "warning",
  no_key: undefined,
  unknown: undefined,
} as const;

/** Health of the webhook, checked when the page is opened and on demand. */
export function Webhook({ connection }: { connection: Connection }) {
  const api = useApi();
  const queryClient = useQueryClient();
  const options = webhookQuery(api, connection);
  const query = useQuery(options);
  const register = useMutation({
    mutationFn: () =>
      api.inbox<{ webhook: WebhookHealth }>({
        method: "POST",
        path: `connections/${connection.id}/webhook`,
        body: {},
      }),
    onSuccess: (answer) => queryClient.setQueryData(options.queryKey, answer),
    onError: showError,
  });
  const health = query.data?.webhook;
  const state = health?.state ?? "unknown";
  const canRepair = state === "paused" || state === "missing" ||
    state === "incomplete";
  return (
    <section className="connection-part">
      <h3>{texts.connections.health}</h3>
      <p className="connection-line" role="status">
        <span className="tag" data-tone={TONES[state]}>
          {query.isPending ? texts.connections.checking : texts.connections.healthStates[state]}
        </span>
        {health?.problem && health.state === "unknown" && (
          <span className="muted">{texts.connections.numberProblems[health.problem]}</span>
        )}
        {health && health.missing_events.length > 0 && (
          <span className="muted">
            {texts.connections.missingEvents}: {health.missing_events.join(", ")}
          </span>
        )}
      </p>
      <div className="button-row">
        <Button
          icon={RefreshCw}
          isBusy={query.isFetching}
          onClick={() => query.refetch()}
        >
          {texts.connections.checkHealth}
        </Button>
        {canRepair && (
          <Button
            icon={Wrench}
            variant="primary"
            isBusy={register.isPending}
            onClick={() => register.mutate()}
          >
            {state === "missing" ? texts.connections.register : texts.connections.repair}
          </Button>
        )}
      </div>
    </section>
  );
}
