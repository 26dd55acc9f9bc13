/**
 * Health: whether the installation is complete and does its work, for owners.
 *
 * @module
 */

import "../styles/health.css";
import { useQuery } from "@tanstack/react-query";
import { HeartPulse, Lock, RefreshCw } from "lucide-react";
import { useEffect } from "react";
import { describeError } from "../api/api_error.ts";
import { useApi } from "../api/context.tsx";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { EmptyState } from "../ui/empty_state.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { PageSpinner } from "../ui/spinner.tsx";
import { useIsOwner, useWorkspace } from "../workspace/workspace.tsx";
import { CheckItem, STATUS_ICONS } from "./check_item.tsx";
import { type CheckGroup, groupChecks, summarise } from "./checks.ts";
import { type Health, healthQuery } from "./queries.ts";
import { healthTexts } from "./texts.ts";

// With seconds, so that a repeated check is seen to be a new one.
const checkTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** The page. The default export, so that it is loaded when it is opened. */
export default function HealthPage() {
  const workspace = useWorkspace();
  const isOwner = useIsOwner();
  useEffect(() => {
    document.title = `${texts.nav.health} · ${workspace.name}`;
  }, [workspace.name]);
  if (isOwner) return <InstallationHealth />;
  return (
    <div className="content-page">
      <header className="page-head">
        <h1>{texts.nav.health}</h1>
      </header>
      <EmptyState
        icon={Lock}
        title={healthTexts.notAllowedTitle}
        hint={healthTexts.notAllowedHint}
      />
    </div>
  );
}

function InstallationHealth() {
  const api = useApi();
  const query = useQuery(healthQuery(api));
  const health = query.data;
  return (
    <div className="content-page">
      <header className="page-head">
        <div>
          <h1>{texts.nav.health}</h1>
          <p className="muted">{healthTexts.subtitle}</p>
        </div>
        {health && (
          <Button
            icon={RefreshCw}
            isBusy={query.isFetching}
            onClick={() => query.refetch()}
          >
            {healthTexts.checkAgain}
          </Button>
        )}
      </header>
      {query.isPending && <PageSpinner />}
      {query.isError && !health && (
        <LoadFailed
          title={healthTexts.loadFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      )}
      {query.isError && health && (
        <p className="form-error" role="alert">
          {healthTexts.againFailed(describeError(query.error))}
        </p>
      )}
      {health && (health.checkedAt === null
        ? (
          <EmptyState
            icon={HeartPulse}
            title={healthTexts.emptyTitle}
            hint={healthTexts.emptyHint}
          />
        )
        : <Checks checks={health.checks} checkedAt={health.checkedAt} />)}
    </div>
  );
}

function Checks({ checks, checkedAt }: { checks: Health["checks"]; checkedAt: string }) {
  const groups = groupChecks(checks);
  const worst = groups[0]!.status;
  const Icon = STATUS_ICONS[worst];
  return (
    <>
      <div className="health-summary" data-status={worst} role="status">
        <Icon className="health-sign" size={24} aria-hidden />
        <div>
          <p className="health-sentence">{summarise(checks)}</p>
          <p>
            {healthTexts.checked}{" "}
            <time dateTime={checkedAt}>{checkTime.format(new Date(checkedAt))}</time>
          </p>
        </div>
      </div>
      {groups.map((group) => <Group key={group.status} group={group} />)}
    </>
  );
}

function Group({ group: { status, checks } }: { group: CheckGroup }) {
  const id = `health-${status}`;
  return (
    <section className="health-group" aria-labelledby={id}>
      <h2 id={id}>{healthTexts.groups[status]}</h2>
      {status === "problem" && <p className="muted">{healthTexts.help}</p>}
      <ul className="panel health-list">
        {checks.map((check) => <CheckItem key={check.name} check={check} />)}
      </ul>
    </section>
  );
}
