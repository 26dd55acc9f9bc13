/**
 * One workflow: its settings, their comparison with Kapso, and their history.
 *
 * @module
 */

import { useQueryClient } from "@tanstack/react-query";
import { ArrowLeft, Trash2 } from "lucide-react";
import { type FormEvent, useEffect, useState } from "react";
import { useLocation } from "wouter";
import { ApiError } from "../api/api_error.ts";
import { formatAgo, formatDateTime } from "../format.ts";
import { PAGES } from "../pages.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { showError, showToast } from "../ui/toast.ts";
import { memberName, useMembers, useWorkspace } from "../workspace/workspace.tsx";
import { changesOf, doubleName, type Draft, draftOf } from "./draft.ts";
import { History } from "./history.tsx";
import { KapsoPanel } from "./kapso_panel.tsx";
import { workflowKeys } from "./queries.ts";
import { StatusTag, workflowName } from "./status_tag.tsx";
import type { WorkflowSetting } from "../api/rows.ts";
import { useDeleteWorkflow, useSaveWorkflow } from "./use_workflows.ts";
import { WorkflowForm } from "./workflow_form.tsx";

/** The form of a setting; empty for a workflow without settings. */
export function WorkflowEditor({ type, setting, models }: {
  type: string;
  setting: WorkflowSetting | undefined;
  models: string[];
}) {
  const workspace = useWorkspace();
  // The draft is compared with the values from when the editing began.
  const [edit, setEdit] = useEdit(type);
  const save = useSaveWorkflow(type);
  const base = edit ? edit.base : setting;
  const draft = edit?.draft ?? draftOf(setting);
  const changes = changesOf(draft, base);
  const isDirty = edit !== undefined && Object.keys(changes).length > 0;
  const isOutdated = isDirty && setting?.version !== base?.version;
  const list = `/${workspace.slug}${PAGES.workflows}`;
  useWarningBeforeLeaving(isDirty);

  function discard() {
    setEdit(undefined);
    save.reset();
  }
  function submit(version: number | null) {
    save.mutate({ version, changes }, {
      onSuccess() {
        setEdit(undefined);
        showToast(texts.workflows.saved);
      },
    });
  }

  return (
    <div className="content-page">
      <header className="page-head">
        <div>
          <a className="breadcrumb breadcrumb-link" href={`#${list}`}>
            <ArrowLeft size={14} aria-hidden /> {texts.workflows.all}
          </a>
          <h1 className="title-line">
            {setting ? workflowName(type) : texts.workflows.newTitle(workflowName(type))}
            {setting && <StatusTag status={setting.sync_status} />}
          </h1>
          {setting
            ? <LastChange setting={setting} />
            : <p className="muted">{texts.workflows.newHint}</p>}
        </div>
        {setting && <RemoveButton setting={setting} list={list} />}
      </header>
      {setting && <KapsoPanel setting={setting} isDirty={isDirty} />}
      <div className="workflow-columns">
        <form
          className="workflow-form"
          aria-label={texts.workflows.title}
          // The server validates, so that every client gets the same rules.
          noValidate
          onSubmit={(event: FormEvent) => {
            event.preventDefault();
            if (doubleName(draft) === undefined) submit(base?.version ?? null);
          }}
        >
          <WorkflowForm
            draft={draft}
            models={models}
            error={isOutdated || isConflict(save.error) ? null : save.error}
            onChange={(changed) => setEdit({ base, draft: { ...draft, ...changed } })}
          />
          {isOutdated
            ? (
              <div className="save-bar save-bar-warning" role="alert">
                <p>{texts.workflows.outdated}</p>
                <Button onClick={discard}>{texts.workflows.showTheirs}</Button>
                <Button
                  variant="primary"
                  isBusy={save.isPending}
                  onClick={() => submit(setting?.version ?? null)}
                >
                  {texts.workflows.keepMine}
                </Button>
              </div>
            )
            : (isDirty || !setting) && (
              <div className="save-bar">
                <p>{isDirty && texts.workflows.unsaved}</p>
                {isDirty && <Button onClick={discard}>{texts.workflows.discard}</Button>}
                <Button type="submit" variant="primary" isBusy={save.isPending}>
                  {texts.common.save}
                </Button>
              </div>
            )}
        </form>
        <History type={type} />
      </div>
    </div>
  );
}

/** An edit: the draft, and the setting from when the editing began. */
interface Edit {
  base: WorkflowSetting | undefined;
  draft: Draft;
}

/** The edit. It survives a visit to other pages and ends with the session. */
function useEdit(type: string): [Edit | undefined, (edit: Edit | undefined) => void] {
  const queryClient = useQueryClient();
  const workspace = useWorkspace();
  const key = workflowKeys.edit(workspace.id, type);
  const [edit, setEdit] = useState(() => queryClient.getQueryData<Edit | null>(key) ?? undefined);
  return [edit, (changed) => {
    setEdit(changed);
    queryClient.setQueryDefaults(key, { gcTime: Infinity });
    queryClient.setQueryData<Edit | null>(key, changed ?? null);
  }];
}

function LastChange({ setting }: { setting: WorkflowSetting }) {
  const members = useMembers();
  const author = members.find(({ user_id }) => user_id === setting.updated_by);
  return (
    <p className="muted" title={formatDateTime(setting.updated_at)}>
      {texts.workflows.lastChanged} {formatAgo(setting.updated_at)}{" "}
      {setting.updated_by && texts.workflows.changedBy(memberName(author))}
    </p>
  );
}

function RemoveButton({ setting, list }: { setting: WorkflowSetting; list: string }) {
  const [, navigate] = useLocation();
  const [isAsking, setIsAsking] = useState(false);
  const remove = useDeleteWorkflow(setting);
  return (
    <>
      <Button icon={Trash2} variant="quiet" onClick={() => setIsAsking(true)}>
        {texts.workflows.remove}
      </Button>
      {isAsking && (
        <Dialog title={texts.workflows.remove} onClose={() => setIsAsking(false)}>
          <p>{texts.workflows.removeConfirm(workflowName(setting.workflow_type))}</p>
          <div className="dialog-actions">
            <Button onClick={() => setIsAsking(false)}>{texts.common.cancel}</Button>
            <Button
              variant="danger"
              isBusy={remove.isPending}
              onClick={() =>
                remove.mutate(undefined, {
                  onSuccess: () => navigate(list),
                  onError: showError,
                })}
            >
              {texts.workflows.remove}
            </Button>
          </div>
        </Dialog>
      )}
    </>
  );
}

function isConflict(error: Error | null): boolean {
  return error instanceof ApiError && error.code === "version_conflict";
}

/** Makes the browser ask before a window with unsaved changes is closed. */
function useWarningBeforeLeaving(isDirty: boolean): void {
  useEffect(() => {
    if (!isDirty) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [isDirty]);
}
