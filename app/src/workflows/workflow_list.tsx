/**
 * All workflow settings of a workspace.
 *
 * @module
 */

import { Bot, ChevronRight, Plus } from "lucide-react";
import { useState } from "react";
import { formatAgo, formatDateTime } from "../format.ts";
import { PAGES } from "../pages.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { EmptyState } from "../ui/empty_state.tsx";
import { memberName, useMembers, useWorkspace } from "../workspace/workspace.tsx";
import { NewWorkflowDialog } from "./new_workflow_dialog.tsx";
import { StatusTag, workflowName } from "./status_tag.tsx";
import type { WorkflowSetting } from "../api/rows.ts";

/** The list, and a button that creates a setting. */
export function WorkflowList({ settings }: { settings: WorkflowSetting[] }) {
  const [isCreating, setIsCreating] = useState(false);
  const create = { label: texts.workflows.create, onClick: () => setIsCreating(true) };
  return (
    <div className="content-page">
      <header className="page-head">
        <div>
          <h1>{texts.workflows.title}</h1>
          <p className="muted">{texts.workflows.subtitle}</p>
        </div>
        {settings.length > 0 && (
          <Button variant="primary" icon={Plus} onClick={create.onClick}>{create.label}</Button>
        )}
      </header>
      {settings.length === 0
        ? (
          <EmptyState
            icon={Bot}
            title={texts.workflows.emptyTitle}
            hint={texts.workflows.emptyHint}
            action={create}
          />
        )
        : (
          <ul className="workflow-list">
            {settings.map((setting) => (
              <li key={setting.id}>
                <WorkflowLink setting={setting} />
              </li>
            ))}
          </ul>
        )}
      {isCreating && (
        <NewWorkflowDialog
          taken={settings.map(({ workflow_type }) => workflow_type)}
          onClose={() => setIsCreating(false)}
        />
      )}
    </div>
  );
}

function WorkflowLink({ setting }: { setting: WorkflowSetting }) {
  const workspace = useWorkspace();
  const members = useMembers();
  const name = workflowName(setting.workflow_type);
  return (
    <a
      className="workflow-link"
      href={`#/${workspace.slug}${PAGES.workflows}/${setting.workflow_type}`}
    >
      <span className="workflow-icon" aria-hidden>
        <Bot size={20} />
      </span>
      <span className="workflow-link-text">
        <span className="workflow-link-head">
          <strong>{name}</strong>
          <StatusTag status={setting.sync_status} />
        </span>
        <span className="muted">
          {setting.ai_model ?? texts.workflows.noModel} ·{" "}
          {setting.kapso_workflow_name ?? setting.kapso_workflow_id ?? texts.workflows.noWorkflow}
        </span>
        <span className="muted" title={formatDateTime(setting.updated_at)}>
          {texts.workflows.lastChanged} {formatAgo(setting.updated_at)} {setting.updated_by &&
            texts.workflows.changedBy(
              memberName(members.find(({ user_id }) => user_id === setting.updated_by)),
            )}
        </span>
      </span>
      <ChevronRight size={18} aria-hidden />
    </a>
  );
}
