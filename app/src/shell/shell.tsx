/**
 * What surrounds every page: navigation, workspace, account.
 *
 * @module
 */

import { LogOut, Monitor, Moon, Sun, UserRound } from "lucide-react";
import type { ReactNode } from "react";
import { useLocation } from "wouter";
import { useSignOut, useUser } from "../session/session.tsx";
import { texts } from "../texts.ts";
import { Menu } from "../ui/menu.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import { WorkspaceSwitch } from "../workspace/workspace_switch.tsx";
import { NAVIGATION } from "./navigation.tsx";
import { OfflineNotice } from "./offline_notice.tsx";
import { type Theme, useTheme } from "./theme.ts";

const THEMES: readonly { theme: Theme; icon: typeof Sun }[] = [
  { theme: "system", icon: Monitor },
  { theme: "light", icon: Sun },
  { theme: "dark", icon: Moon },
];

/** The frame around a page. */
export function Shell({ children }: { children: ReactNode }) {
  const workspace = useWorkspace();
  const [location] = useLocation();
  const base = `/${workspace.slug}`;
  return (
    <div className="shell">
      <a
        className="skip-link"
        href="#content"
        onClick={(event) => {
          // The hash is the address of the page, so the focus is moved by hand.
          event.preventDefault();
          document.getElementById("content")?.focus();
        }}
      >
        {texts.app.skipToContent}
      </a>
      <header className="rail">
        <WorkspaceSwitch />
        <nav className="rail-nav" aria-label={texts.nav.label}>
          {NAVIGATION.map(({ path, label, group, icon: Icon }) => {
            const isCurrent = location.startsWith(base + path);
            return (
              <a
                key={path}
                className="rail-link"
                href={`#${base}${path}`}
                aria-current={isCurrent ? "page" : undefined}
              >
                <Icon size={20} aria-hidden />
                <span>
                  {group && <span className="visually-hidden">{group} →</span>}
                  {label}
                </span>
              </a>
            );
          })}
        </nav>
        <AccountMenu />
      </header>
      <OfflineNotice />
      <main className="page" id="content" tabIndex={-1}>{children}</main>
    </div>
  );
}

function AccountMenu() {
  const user = useUser();
  const signOut = useSignOut();
  const [theme, setTheme] = useTheme();
  return (
    <Menu
      label={texts.nav.account}
      className="rail-link"
      trigger={
        <>
          <UserRound size={20} aria-hidden />
          <span>{texts.nav.account}</span>
        </>
      }
    >
      {(close) => (
        <>
          <p className="menu-caption">{user.email}</p>
          <fieldset className="segmented menu-block">
            <legend className="visually-hidden">{texts.nav.theme.label}</legend>
            {THEMES.map(({ theme: choice, icon: Icon }) => (
              <label key={choice}>
                <input
                  type="radio"
                  name="theme"
                  checked={theme === choice}
                  onChange={() => setTheme(choice)}
                />
                <span>
                  <Icon size={14} aria-hidden /> {texts.nav.theme[choice]}
                </span>
              </label>
            ))}
          </fieldset>
          <button
            type="button"
            className="menu-item"
            onClick={() => {
              close();
              signOut();
            }}
          >
            <LogOut size={16} aria-hidden /> {texts.signIn.signOut}
          </button>
        </>
      )}
    </Menu>
  );
}
