/**
 * Workflow settings: all of them, or one.
 *
 * @module
 */

import "../styles/workflows.css";
import { Lock } from "lucide-react";
import { useEffect } from "react";
import { texts } from "../texts.ts";
import { EmptyState } from "../ui/empty_state.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { PageSpinner } from "../ui/spinner.tsx";
import { useCanManage, useWorkspace } from "../workspace/workspace.tsx";
import { workflowName } from "./status_tag.tsx";
import { useWorkflowSettings } from "./use_workflows.ts";
import { WorkflowEditor } from "./workflow_editor.tsx";
import { WorkflowList } from "./workflow_list.tsx";

/** The page. The default export, so that it is loaded when it is opened. */
export default function WorkflowsPage({ type }: { type: string | undefined }) {
  const workspace = useWorkspace();
  const canManage = useCanManage();
  const query = useWorkflowSettings();
  useEffect(() => {
    const title = type === undefined ? texts.workflows.title : workflowName(type);
    document.title = `${title} · ${workspace.name}`;
  }, [type, workspace.name]);

  if (!canManage) {
    return (
      <div className="content-page">
        <header className="page-head">
          <h1>{texts.workflows.title}</h1>
        </header>
        <EmptyState
          icon={Lock}
          title={texts.workflows.notAllowedTitle}
          hint={texts.workflows.notAllowedHint}
        />
      </div>
    );
  }
  if (query.isPending) return <PageSpinner />;
  if (!query.data) {
    return (
      <LoadFailed
        title={texts.workflows.loadFailed}
        error={query.error}
        onRetry={() => query.refetch()}
      />
    );
  }
  if (type === undefined) return <WorkflowList settings={query.data} />;
  return (
    <WorkflowEditor
      key={type}
      type={type}
      setting={query.data.find(({ workflow_type }) => workflow_type === type)}
      models={query.data.flatMap(({ ai_model }) => ai_model ?? [])}
    />
  );
}
