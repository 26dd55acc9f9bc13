/**
 * Who is signed in.
 *
 * @module
 */

import type { User } from "@supabase/supabase-js";
import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useRef, useState } from "react";
import { useApi } from "../api/context.tsx";
import { announceSessionEnd } from "./session_end.ts";

/** A signed-in user, nobody, or not known yet. */
export type SessionState = User | "signed-out" | "unknown";

const SessionContext = createContext<SessionState>("unknown");

/** Keeps the session, and forgets everything that was read when it ends. */
export function SessionProvider({ children }: { children: ReactNode }) {
  const { supabase } = useApi();
  const queryClient = useQueryClient();
  const [state, setState] = useState<SessionState>("unknown");
  const userId = useRef<string | undefined>(undefined);

  useEffect(() => {
    const { data } = supabase.auth.onAuthStateChange((_event, session) => {
      const user = session?.user;
      if (userId.current !== undefined && userId.current !== user?.id) {
        // Also when another tab signed out: the next user must find nothing of this one.
        queryClient.clear();
        announceSessionEnd("expired");
        supabase.removeAllChannels();
      }
      userId.current = user?.id;
      setState((before) => {
        if (!user) return "signed-out";
        return typeof before === "object" && before.id === user.id ? before : user;
      });
    });
    return () => data.subscription.unsubscribe();
  }, [supabase, queryClient]);

  return <SessionContext value={state}>{children}</SessionContext>;
}

/** The state of the session. */
export function useSession(): SessionState {
  return useContext(SessionContext);
}

/** The user, on pages that only users see. */
export function useUser(): User {
  const session = useContext(SessionContext);
  if (typeof session !== "object") throw new Error("nobody is signed in");
  return session;
}

/** Signs out, on this device. */
export function useSignOut(): () => void {
  const { supabase } = useApi();
  return () => {
    history.replaceState(null, "", location.pathname);
    announceSessionEnd("signed-out");
    supabase.auth.signOut({ scope: "local" });
  };
}
