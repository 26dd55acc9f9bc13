/**
 * The workflow at Kapso that a setting belongs to, and its nodes.
 *
 * @module
 */

import { Plus, Trash2 } from "lucide-react";
import { type ReactNode, useId, useState } from "react";
import { useConnections } from "../connections/use_connections.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { IconButton } from "../ui/icon_button.tsx";
import { SelectField } from "../ui/select_field.tsx";
import { TextField } from "../ui/text_field.tsx";
import type { WorkflowValues } from "../api/rows.ts";
import { useKapsoWorkflows } from "./use_workflows.ts";
import type { FormPartProps } from "./draft.ts";

/** Connection, workflow and nodes. */
export function KapsoFields({ draft, field, onChange }: FormPartProps & {
  field: (name: keyof WorkflowValues, children: ReactNode) => ReactNode;
}) {
  const connections = (useConnections().data ?? []).filter(({ platform, phone_number_id, id }) =>
    platform === "whatsapp" && phone_number_id !== null || id === draft.connection_id
  );
  return (
    <>
      <div className="form-pair">
        {field(
          "connection_id",
          <SelectField
            label={texts.workflows.connection}
            options={[
              { value: "", label: texts.workflows.onlyConnection },
              ...connections.map(({ id, name, has_kapso_key: hasKey }) => ({
                value: id,
                label: hasKey ? name : texts.workflows.withoutKey(name),
              })),
            ]}
            value={draft.connection_id}
            onChange={(id) => onChange({ connection_id: id })}
          />,
        )}
        <WorkflowChoice draft={draft} field={field} onChange={onChange} />
      </div>
      <Nodes draft={draft} field={field} onChange={onChange} />
    </>
  );
}

type PartProps = Parameters<typeof KapsoFields>[0];

/** A choice of the workflows at Kapso, or a field for the ID where they cannot be listed. */
function WorkflowChoice({ draft, field, onChange }: PartProps) {
  const query = useKapsoWorkflows(draft.connection_id);
  const { kapso_workflow_id: id, kapso_workflow_name: name } = draft;
  if (query.isError) {
    return (
      <>
        {field(
          "kapso_workflow_id",
          <TextField
            label={texts.workflows.workflowId}
            hint={texts.workflows.listFailed}
            value={id}
            autoComplete="off"
            spellCheck={false}
            onChange={({ target }) => onChange({ kapso_workflow_id: target.value })}
          />,
        )}
        {field(
          "kapso_workflow_name",
          <TextField
            label={texts.workflows.workflowName}
            value={name}
            autoComplete="off"
            onChange={({ target }) => onChange({ kapso_workflow_name: target.value })}
          />,
        )}
      </>
    );
  }
  const workflows = query.data ?? [];
  const isListed = id === "" || workflows.some((workflow) => workflow.id === id);
  return field(
    "kapso_workflow_id",
    <SelectField
      label={texts.workflows.chooseWorkflow}
      options={[
        { value: "", label: texts.workflows.noneYet },
        ...(isListed ? [] : [{ value: id, label: name || id }]),
        ...workflows.flatMap(({ id, name, status }) =>
          id === null
            ? []
            : [{ value: id, label: texts.workflows.workflowOption(name ?? id, status) }]
        ),
      ]}
      value={id}
      disabled={query.isPending}
      onChange={(chosen) =>
        onChange({
          kapso_workflow_id: chosen,
          kapso_workflow_name: workflows.find((workflow) => workflow.id === chosen)?.name ?? "",
        })}
    />,
  );
}

/** The nodes, for workflows where they are ambiguous. */
function Nodes({ draft, field, onChange }: PartProps) {
  const id = useId();
  const { agent_nodes: agents, keyword_conditions: conditions } = draft;
  const [isOpen, setIsOpen] = useState(agents.length + conditions.length > 0);
  const change = (index: number, changed: Partial<typeof conditions[number]>) =>
    onChange({
      keyword_conditions: conditions.map((condition, each) =>
        each === index ? { ...condition, ...changed } : condition
      ),
    });
  return (
    <details open={isOpen} onToggle={({ currentTarget }) => setIsOpen(currentTarget.open)}>
      <summary>{texts.workflows.nodes}</summary>
      <div className="form-nodes">
        <p className="field-hint">{texts.workflows.nodesHint}</p>
        {field(
          "kapso_mapping",
          <>
            <div className="field">
              <label htmlFor={id}>{texts.workflows.agentNodes}</label>
              <textarea
                id={id}
                className="input code-input"
                rows={2}
                spellCheck={false}
                value={agents.join("\n")}
                onChange={({ target }) =>
                  onChange({ agent_nodes: target.value === "" ? [] : target.value.split("\n") })}
              />
            </div>
            <fieldset className="field">
              <legend className="field-legend">{texts.workflows.conditions}</legend>
              {conditions.map((condition, index) => (
                <div className="condition-row" key={index}>
                  <input
                    className="input code-input"
                    aria-label={texts.workflows.conditionNode(index + 1)}
                    placeholder={texts.workflows.nodePlaceholder}
                    spellCheck={false}
                    value={condition.node_id}
                    onChange={({ target }) => change(index, { node_id: target.value })}
                  />
                  <input
                    className="input"
                    aria-label={texts.workflows.conditionLabel(index + 1)}
                    placeholder={texts.workflows.labelPlaceholder}
                    value={condition.label}
                    onChange={({ target }) => change(index, { label: target.value })}
                  />
                  <IconButton
                    label={texts.workflows.removeCondition(index + 1)}
                    icon={Trash2}
                    size={16}
                    onClick={() =>
                      onChange({
                        keyword_conditions: conditions.filter((_, each) => each !== index),
                      })}
                  />
                </div>
              ))}
              <div>
                <Button
                  icon={Plus}
                  onClick={() =>
                    onChange({
                      keyword_conditions: [...conditions, { node_id: "", label: "" }],
                    })}
                >
                  {texts.workflows.addCondition}
                </Button>
              </div>
            </fieldset>
          </>,
        )}
      </div>
    </details>
  );
}
