/**
 * Number of messages, and response times.
 *
 * @module
 */

import { useQuery } from "@tanstack/react-query";
import { BarChart3 } from "lucide-react";
import { useEffect, useState } from "react";
import { useApi } from "../api/context.tsx";
import type { OverviewStatistics } from "../api/rows.ts";
import { formatDuration } from "../format.ts";
import { texts } from "../texts.ts";
import { EmptyState } from "../ui/empty_state.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { PageSpinner } from "../ui/spinner.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import { MessagesChart } from "./messages_chart.tsx";
import { statisticsQuery } from "./queries.ts";

const RANGES = [7, 14, 30, 90] as const;

/** The page. The default export, so that it is loaded when it is opened. */
export default function OverviewPage() {
  const api = useApi();
  const workspace = useWorkspace();
  const [days, setDays] = useState<number>(14);
  const query = useQuery(statisticsQuery(api, workspace.id, days));
  useEffect(() => {
    document.title = `${texts.overview.title} · ${workspace.name}`;
  }, [workspace.name]);
  const statistics = query.data;
  return (
    <div className="content-page">
      <header className="page-head">
        <div>
          <h1>{texts.overview.title}</h1>
          <p className="muted">{texts.overview.subtitle(days)}</p>
        </div>
        <fieldset className="segmented">
          <legend className="visually-hidden">{texts.overview.range}</legend>
          {RANGES.map((range) => (
            <label key={range}>
              <input
                type="radio"
                name="range"
                checked={days === range}
                onChange={() => setDays(range)}
              />
              <span className="segment">{texts.overview.days(range)}</span>
            </label>
          ))}
        </fieldset>
      </header>
      {query.isPending && <PageSpinner />}
      {query.isError && !statistics && (
        <LoadFailed
          title={texts.overview.loadFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      )}
      {statistics && (
        <>
          <Figures statistics={statistics} />
          <section className="panel" aria-labelledby="messages-chart">
            <div>
              <h2 id="messages-chart">{texts.overview.chart}</h2>
              <p className="muted">{texts.overview.chartBy}</p>
            </div>
            {statistics.days.length === 0
              ? (
                <EmptyState
                  icon={BarChart3}
                  level="h3"
                  title={texts.overview.emptyTitle}
                  hint={texts.overview.emptyHint}
                />
              )
              : (
                <MessagesChart
                  rows={statistics.days}
                  dayCount={days}
                  timeZone={workspace.time_zone}
                />
              )}
          </section>
        </>
      )}
    </div>
  );
}

function Figures({ statistics }: { statistics: OverviewStatistics }) {
  const { response_times: times } = statistics;
  const duration = (seconds: number | null | undefined) =>
    seconds === null || seconds === undefined ? "–" : formatDuration(seconds);
  return (
    <dl className="figures">
      <Figure
        name={texts.overview.open}
        value={statistics.open.toLocaleString()}
      />
      <Figure
        name={texts.overview.unread}
        value={statistics.unread.toLocaleString()}
      />
      <Figure
        name={texts.overview.unassigned}
        value={statistics.unassigned.toLocaleString()}
      />
      <Figure
        name={texts.overview.median}
        value={duration(times?.median_seconds)}
        hint={times?.answered ? texts.overview.answered(times.answered) : texts.overview.noAnswers}
      />
      <Figure name={texts.overview.p90} value={duration(times?.p90_seconds)} />
    </dl>
  );
}

function Figure(
  { name, value, hint }: { name: string; value: string; hint?: string },
) {
  return (
    <div className="figure">
      <dt>{name}</dt>
      <dd>{value}</dd>
      {hint && <dd className="figure-hint">{hint}</dd>}
    </div>
  );
}
