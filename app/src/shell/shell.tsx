/**
 * What surrounds every page: navigation, workspace, account.
 *
 * @module
 */

import { UserRound } from "lucide-react";
import { type ReactNode, Suspense } from "react";
import { useLocation } from "wouter";
import { texts } from "../texts.ts";
import { Avatar } from "../ui/avatar.tsx";
import { lazyAfterPage } from "../ui/lazy.ts";
import { useWorkspace } from "../workspace/workspace.tsx";
import { NAVIGATION } from "./navigation.tsx";
import { OfflineNotice } from "./offline_notice.tsx";

const loadMenus = () => import("./rail_menus.ts");
const WorkspaceSwitch = lazyAfterPage(async () => ({
  default: (await loadMenus()).WorkspaceSwitch,
}));
const AccountMenu = lazyAfterPage(async () => ({ default: (await loadMenus()).AccountMenu }));
/** As in shell.css: here the rail lies below the page. */
const isRailBelow = () => matchMedia("(max-width: 760px)").matches;

/** The frame around a page. */
export function Shell({ children }: { children: ReactNode }) {
  const workspace = useWorkspace();
  const [location] = useLocation();
  const base = `/${workspace.slug}`;
  const menuSide = isRailBelow() ? "top" : "right";
  return (
    <div className="shell">
      <a
        className="skip-link"
        href="#content"
        onClick={(event) => {
          // The hash is the address of the page, so the focus is moved without it.
          event.preventDefault();
          document.getElementById("content")?.focus();
        }}
      >
        {texts.app.skipToContent}
      </a>
      <header className="rail">
        <Suspense
          fallback={
            <span className="rail-workspace">
              <Avatar name={workspace.name} shape="square" />
            </span>
          }
        >
          <WorkspaceSwitch side={menuSide} />
        </Suspense>
        <nav className="rail-nav" aria-label={texts.nav.label}>
          {NAVIGATION.map(({ path, label, icon: Icon }) => {
            const isCurrent = location.startsWith(base + path);
            return (
              <a
                key={path}
                className="rail-link"
                href={`#${base}${path}`}
                aria-current={isCurrent ? "page" : undefined}
              >
                <Icon size={20} aria-hidden />
                <span>{label}</span>
              </a>
            );
          })}
        </nav>
        <Suspense
          fallback={
            <span className="rail-link">
              <UserRound size={20} aria-hidden />
              <span>{texts.nav.account}</span>
            </span>
          }
        >
          <AccountMenu side={menuSide} />
        </Suspense>
      </header>
      <OfflineNotice />
      <main className="page" id="content" tabIndex={-1}>{children}</main>
    </div>
  );
}
