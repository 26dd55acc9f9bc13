/**
 * The menus of the rail, loaded together after the page.
 *
 * @module
 */

export { AccountMenu } from "./account_menu.tsx";
export { WorkspaceSwitch } from "../workspace/workspace_switch.tsx";
