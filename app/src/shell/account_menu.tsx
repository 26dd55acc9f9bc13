/**
 * The account of the user: appearance, the health of the installation, sign-out.
 *
 * @module
 */

import { HeartPulse, LogOut, Monitor, Moon, Sun, UserRound } from "lucide-react";
import { PAGES } from "../pages.ts";
import { useSignOut, useUser } from "../session/session.tsx";
import { texts } from "../texts.ts";
import { Menu, MenuChoice, MenuItem, MenuLink } from "../ui/menu.tsx";
import { useIsOwner, useWorkspace } from "../workspace/workspace.tsx";
import { type Theme, useTheme } from "./theme.ts";

const THEMES: readonly { theme: Theme; icon: typeof Sun }[] = [
  { theme: "system", icon: Monitor },
  { theme: "light", icon: Sun },
  { theme: "dark", icon: Moon },
];

/** The menu. */
export function AccountMenu({ side }: { side: "right" | "top" }) {
  const user = useUser();
  const signOut = useSignOut();
  const workspace = useWorkspace();
  const isOwner = useIsOwner();
  const [theme, setTheme] = useTheme();
  return (
    <Menu
      label={texts.nav.account}
      className="rail-link"
      side={side}
      align="end"
      trigger={
        <>
          <UserRound size={20} aria-hidden />
          <span>{texts.nav.account}</span>
        </>
      }
    >
      <p className="menu-caption">{user.email}</p>
      <MenuChoice
        label={texts.nav.theme.label}
        value={theme}
        onChange={setTheme}
        options={THEMES.map(({ theme, icon: Icon }) => ({
          value: theme,
          label: (
            <>
              <Icon size={14} aria-hidden /> {texts.nav.theme[theme]}
            </>
          ),
        }))}
      />
      {isOwner && (
        <MenuLink href={`#/${workspace.slug}${PAGES.health}`}>
          <HeartPulse size={16} aria-hidden /> {texts.nav.health}
        </MenuLink>
      )}
      <MenuItem onClick={signOut}>
        <LogOut size={16} aria-hidden /> {texts.signIn.signOut}
      </MenuItem>
    </Menu>
  );
}
