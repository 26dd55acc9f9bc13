/**
 * Shows the workspace and changes to another one.
 *
 * @module
 */

import { Check } from "lucide-react";
import { texts } from "../texts.ts";
import { Avatar } from "../ui/avatar.tsx";
import { Menu } from "../ui/menu.tsx";
import { useWorkspace, useWorkspaces } from "./workspace.tsx";

/** The switch. */
export function WorkspaceSwitch() {
  const current = useWorkspace();
  const workspaces = useWorkspaces();
  return (
    <Menu
      label={`${texts.workspace.label}: ${current.name}`}
      className="rail-workspace"
      trigger={<Avatar name={current.name} shape="square" />}
    >
      {(close) => (
        <>
          <p className="menu-caption">{texts.workspace.label}</p>
          <ul className="menu-list">
            {workspaces.map((workspace) => (
              <li key={workspace.id}>
                <a
                  className="menu-item"
                  href={`#/${workspace.slug}/inbox`}
                  aria-current={workspace.id === current.id || undefined}
                  onClick={close}
                >
                  <Avatar name={workspace.name} shape="square" size="small" />
                  <span className="menu-item-text">
                    <strong>{workspace.name}</strong>
                    <small>{texts.workspace.roles[workspace.role]}</small>
                  </span>
                  {workspace.id === current.id && <Check size={16} aria-hidden />}
                </a>
              </li>
            ))}
          </ul>
        </>
      )}
    </Menu>
  );
}
