/**
 * Who may create an account, and where the links in emails of Auth lead.
 *
 * @module
 */

import * as z from "zod";
import type { Deployment } from "../deployment.ts";
import type { Step } from "../step.ts";

const settingsSchema = z.object({
  disable_signup: z.boolean().nullable(),
  site_url: z.string().nullable(),
  uri_allow_list: z.string().nullable(),
});

const QUESTION =
  "Anyone who knows the address of the app can create an account and a workspace of their own. " +
  "Keep that? (Otherwise only people you invite can.)";

/** What the command line says. */
export interface SignUpOptions {
  /** Undefined: as it is, or as the person at the terminal decides. */
  readonly signUp: "open" | "closed" | undefined;
  /** The address of the app; undefined: leave the links as they are. */
  readonly appUrl: string | undefined;
}

/** Creates the step. */
export function setSignUp(deployment: Deployment, options: SignUpOptions): Step {
  const { api, state } = deployment;
  return {
    name: "sign-up",
    async look() {
      const settings = await api.get("/config/auth", settingsSchema);
      const isOpen = await decide(settings.disable_signup !== true);
      const change = {
        ...(isOpen === (settings.disable_signup !== true) ? {} : { disable_signup: !isOpen }),
        ...links(settings),
      };
      const present = isOpen
        ? "Anyone can create an account"
        : "Only invited people get an account";
      if (Object.keys(change).length === 0) {
        const hint = isOpen && options.signUp === undefined && !(await state.read()).is_open
          ? " (--sign-up closed changes that)"
          : "";
        return { kind: "done", text: `${present}${hint}.` };
      }
      return {
        kind: "change",
        text: [
          ...("disable_signup" in change ? [`${isOpen ? "Open" : "Close"} the sign-up.`] : []),
          ...("site_url" in change || "uri_allow_list" in change
            ? [`Let the links of emails lead to ${options.appUrl}.`]
            : []),
        ].join(" "),
        apply: () => api.send("PATCH", "/config/auth", change),
      };
    },
  };

  async function decide(isOpen: boolean): Promise<boolean> {
    if (options.signUp !== undefined) return options.signUp === "open";
    // Who decided it once is not asked again, and closed is the safe side.
    if (!isOpen || (await state.read()).is_open || deployment.confirm === undefined) return isOpen;
    const isWanted = await deployment.confirm(QUESTION);
    if (isWanted) await state.write({ is_open: true });
    return isWanted;
  }

  function links(settings: z.output<typeof settingsSchema>) {
    const { appUrl } = options;
    if (appUrl === undefined) return {};
    const allowed = (settings.uri_allow_list ?? "").split(",").map((url) => url.trim())
      .filter(Boolean);
    const pattern = `${appUrl}/**`;
    return {
      ...(settings.site_url === appUrl ? {} : { site_url: appUrl }),
      ...(allowed.includes(pattern) ? {} : { uri_allow_list: [...allowed, pattern].join(",") }),
    };
  }
}
