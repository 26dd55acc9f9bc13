/**
 * The sign-in page.
 *
 * @module
 */

import { MessageSquareText } from "lucide-react";
import { type FormEvent, useState } from "react";
import { useApi } from "../api/context.tsx";
import type { AppConfig } from "../config.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { TextField } from "../ui/text_field.tsx";

/** Asks for email and password; those of a demo are filled in. */
export function SignInPage({ demo }: { demo: AppConfig["demo"] }) {
  const { supabase } = useApi();
  const [error, setError] = useState<string>();
  const [isBusy, setIsBusy] = useState(false);

  async function signIn(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setIsBusy(true);
    setError(undefined);
    const { error } = await supabase.auth.signInWithPassword({
      email: String(form.get("email")).trim(),
      password: String(form.get("password")),
    });
    setIsBusy(false);
    if (error) setError(reasonOf(error.status ?? 0));
  }

  return (
    <main className="sign-in">
      <form className="sign-in-card" onSubmit={signIn}>
        <div className="sign-in-mark" aria-hidden>
          <MessageSquareText size={26} />
        </div>
        <h1>{texts.signIn.title}</h1>
        <p className="muted">{texts.signIn.subtitle}</p>
        {demo && <p className="notice">{texts.signIn.demo}</p>}
        <TextField
          label={texts.signIn.email}
          name="email"
          type="email"
          autoComplete="username"
          defaultValue={demo?.email}
          required
          autoFocus
        />
        <TextField
          label={texts.signIn.password}
          name="password"
          type="password"
          autoComplete="current-password"
          defaultValue={demo?.password}
          required
        />
        <p className="form-error" role="alert">{error}</p>
        <Button type="submit" variant="primary" isBusy={isBusy}>
          {isBusy ? texts.signIn.submitting : texts.signIn.submit}
        </Button>
      </form>
    </main>
  );
}

/** A text for the HTTP status of a failed sign-in; 0 where there was no answer. */
function reasonOf(status: number): string {
  if (status === 0) return texts.errors.codes.network!;
  if (status === 429) return texts.signIn.tooMany;
  return status >= 500 ? texts.errors.unknown : texts.signIn.wrong;
}
