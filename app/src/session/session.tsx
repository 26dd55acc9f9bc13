/**
 * The session: who is signed in.
 *
 * @module
 */

import type { User } from "@supabase/supabase-js";
import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useRef, useState } from "react";
import { useApi } from "../api/context.tsx";
import { announceSessionEnd } from "./session_end.ts";

/** The signed-in user, or that there is none, or that it is not known yet. */
export type SessionState = User | "signed-out" | "unknown";

const SessionContext = createContext<SessionState>("unknown");

/** Provides the session, and clears the cache when it ends. */
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

/** Returns the state of the session. */
export function useSession(): SessionState {
  return useContext(SessionContext);
}

/** Returns the user, on pages that require one. */
export function useUser(): User {
  const session = useContext(SessionContext);
  if (typeof session !== "object") throw new Error("useUser without a signed-in user");
  return session;
}

/** Returns a function that signs out on this device. */
export function useSignOut(): () => void {
  const { supabase } = useApi();
  return () => {
    history.replaceState(null, "", location.pathname);
    announceSessionEnd("signed-out");
    supabase.auth.signOut({ scope: "local" });
  };
}
