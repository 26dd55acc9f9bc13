/**
 * The daily summaries of all contacts who wrote on a day.
 *
 * @module
 */

import { ChevronLeft, ChevronRight, NotebookText, Settings2 } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { useLocation } from "wouter";
import { PAGES } from "../pages.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { IconButton } from "../ui/icon_button.tsx";
import { EmptyState } from "../ui/empty_state.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { PageSpinner } from "../ui/spinner.tsx";
import { showToast } from "../ui/toast.ts";
import { useCanManage, useWorkspace } from "../workspace/workspace.tsx";
import { addDays, formatCalendarDay, isDay, oldestDay, todayIn } from "./days.ts";
import { CreateSummaries } from "./create_summaries.tsx";
import { Schedule } from "./schedule.tsx";
import { SettingsDialog } from "./settings_dialog.tsx";
import { SummaryCard } from "./summary_card.tsx";
import {
  useCreateSummaries,
  useDay,
  useNewestDay,
  useRun,
  useSummarySettings,
} from "./use_summaries.ts";

/**
 * The page of a day; without one, of the newest with summaries. The default export, so that it is loaded
 * when it is opened.
 */
export default function SummariesPage({ date }: { date: string | undefined }) {
  const workspace = useWorkspace();
  const canManage = useCanManage();
  const newest = useNewestDay(!isDay(date));
  const [isOpenOnly, setIsOpenOnly] = useState(false);
  const [isSettingsOpen, setIsSettingsOpen] = useState(false);
  useEffect(() => {
    document.title = `${texts.summaries.title} · ${workspace.name}`;
  }, [workspace.name]);
  if (!isDay(date) && newest.isPending) return <PageSpinner />;
  const day = isDay(date) ? date : newest.data ?? todayIn(workspace.time_zone);
  return (
    <div className="content-page">
      <header className="page-head">
        <div>
          <h1>{texts.summaries.title}</h1>
          <p className="muted">{texts.summaries.subtitle}</p>
          <Schedule />
        </div>
        {canManage && (
          <Button icon={Settings2} onClick={() => setIsSettingsOpen(true)}>
            {texts.summaries.settings}
          </Button>
        )}
      </header>
      <div className="day-bar">
        <DayChooser day={day} />
        <fieldset className="segmented">
          <legend className="visually-hidden">{texts.summaries.filter}</legend>
          {[false, true].map((choice) => (
            <label key={String(choice)}>
              <input
                type="radio"
                name="filter"
                checked={isOpenOnly === choice}
                onChange={() => setIsOpenOnly(choice)}
              />
              <span className="segment">
                {choice ? texts.summaries.filterOpen : texts.summaries.filterAll}
              </span>
            </label>
          ))}
        </fieldset>
      </div>
      <Day
        key={day}
        day={day}
        isOpenOnly={isOpenOnly}
        onShowAll={() => setIsOpenOnly(false)}
      />
      {isSettingsOpen && <SettingsDialog onClose={() => setIsSettingsOpen(false)} />}
    </div>
  );
}

function Day({ day, isOpenOnly, onShowAll }: {
  day: string;
  isOpenOnly: boolean;
  onShowAll: () => void;
}) {
  const workspace = useWorkspace();
  const canManage = useCanManage();
  const canCreate = canManage && day <= todayIn(workspace.time_zone);
  const query = useDay(day, isOpenOnly);
  const run = useRun(day).data;
  const creation = useCreateSummaries(day);
  const start = () =>
    creation.mutate(undefined, {
      onSuccess: ({ notes_written: count }) => showToast(texts.summaries.created(count)),
    });
  const isRunning = creation.isPending || run?.state === "running";
  const notes = query.data?.pages.flatMap((page) => page.notes) ?? [];
  const conversations = query.data?.pages.flatMap((page) => page.conversations) ?? [];
  const total = query.data?.pages[0]?.total ?? 0;
  return (
    <section className="day" aria-labelledby="day">
      <div className="day-head">
        <h2 id="day">{formatCalendarDay(day)}</h2>
        {notes.length > 0 && (
          <p className="muted" role="status">
            {notes.length < total
              ? texts.summaries.shown(notes.length, total)
              : texts.summaries.people(total)}
          </p>
        )}
      </div>
      {canCreate && query.data && (
        <CreateSummaries
          day={day}
          creation={creation}
          onStart={notes.length > 0 || isOpenOnly ? start : undefined}
        />
      )}
      {query.isPending && <PageSpinner />}
      {query.isError && !query.data && (
        <LoadFailed
          title={texts.summaries.loadFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      )}
      {query.data && notes.length === 0 && !isRunning &&
        (isOpenOnly
          ? (
            <EmptyState
              icon={NotebookText}
              level="h3"
              title={texts.summaries.noneOpenTitle}
              hint={texts.summaries.noneOpenHint}
              action={{ label: texts.summaries.showAll, onClick: onShowAll }}
            />
          )
          : <NoSummaries onCreate={canCreate ? start : undefined} />)}
      <ul className="summary-list" aria-label={texts.summaries.title}>
        {notes.map((note) => (
          <li key={note.id}>
            <SummaryCard
              note={note}
              conversations={conversations.filter(({ person_id: id }) => id === note.person_id)}
            />
          </li>
        ))}
      </ul>
      {query.hasNextPage && (
        <div className="day-more">
          <Button isBusy={query.isFetchingNextPage} onClick={() => query.fetchNextPage()}>
            {texts.summaries.showMore}
          </Button>
        </div>
      )}
    </section>
  );
}

function DayChooser({ day }: { day: string }) {
  const workspace = useWorkspace();
  const [, navigate] = useLocation();
  const input = useRef<HTMLInputElement>(null);
  const today = todayIn(workspace.time_zone);
  const oldest = oldestDay(today);
  const go = (to: string) => navigate(`/${workspace.slug}${PAGES.summaries}/${to}`);
  // Uncontrolled, because a partly typed date has no value.
  useEffect(() => {
    if (input.current && input.current.value !== day) input.current.value = day;
  }, [day]);
  return (
    <div className="day-chooser">
      <IconButton
        label={texts.summaries.previousDay}
        icon={ChevronLeft}
        disabled={day <= oldest}
        onClick={() => go(addDays(day, -1))}
      />
      <input
        ref={input}
        className="input"
        type="date"
        aria-label={texts.summaries.day}
        defaultValue={day}
        min={oldest}
        max={today}
        onChange={({ target: { value } }) => {
          if (isDay(value) && value >= oldest && value <= today) go(value);
        }}
      />
      <IconButton
        label={texts.summaries.nextDay}
        icon={ChevronRight}
        disabled={day >= today}
        onClick={() => go(addDays(day, 1))}
      />
      <Button variant="quiet" disabled={day === today} onClick={() => go(today)}>
        {texts.summaries.today}
      </Button>
    </div>
  );
}

/** A day without summaries, and the next step. */
function NoSummaries({ onCreate }: { onCreate: (() => void) | undefined }) {
  const settings = useSummarySettings().data;
  return (
    <EmptyState
      icon={NotebookText}
      level="h3"
      title={texts.summaries.emptyTitle}
      {...(onCreate && { action: { label: texts.summaries.create, onClick: onCreate } })}
      hint={onCreate
        ? texts.summaries.emptyManagerHint
        : settings?.is_enabled === false
        ? texts.summaries.emptyOff
        : texts.summaries.emptyHint}
    />
  );
}
