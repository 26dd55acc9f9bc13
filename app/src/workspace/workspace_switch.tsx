/**
 * Shows the workspace and changes to another one.
 *
 * @module
 */

import { Check } from "lucide-react";
import { PAGES } from "../pages.ts";
import { texts } from "../texts.ts";
import { Avatar } from "../ui/avatar.tsx";
import { Menu, MenuLink } from "../ui/menu.tsx";
import { useWorkspace, useWorkspaces } from "./workspace.tsx";

/** The menu of workspaces. */
export function WorkspaceSwitch({ side }: { side: "right" | "top" }) {
  const current = useWorkspace();
  const workspaces = useWorkspaces();
  return (
    <Menu
      label={`${texts.workspace.label}: ${current.name}`}
      className="rail-workspace"
      side={side}
      trigger={<Avatar name={current.name} shape="square" />}
    >
      <p className="menu-caption">{texts.workspace.label}</p>
      {workspaces.map((workspace) => (
        <MenuLink
          key={workspace.id}
          href={`#/${workspace.slug}${PAGES.inbox}`}
          aria-current={workspace.id === current.id || undefined}
        >
          <Avatar name={workspace.name} shape="square" size="small" />
          <span className="menu-item-text">
            <strong>{workspace.name}</strong>
            <small>{texts.workspace.roles[workspace.role]}</small>
          </span>
          {workspace.id === current.id && <Check size={16} aria-hidden />}
        </MenuLink>
      ))}
    </Menu>
  );
}
