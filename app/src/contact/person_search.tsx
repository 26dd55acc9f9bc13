/**
 * Finds a person of the workspace by name, number or e-mail.
 *
 * @module
 */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { describeError } from "../api/api_error.ts";
import { unwrap } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
import type { Person } from "../api/types.ts";
import { texts } from "../texts.ts";
import { Avatar } from "../ui/avatar.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";

const SHOWN = 20;

/** What a person is called. */
export function personName(
  person: Pick<Person, "name" | "kapso_name" | "phone">,
): string {
  return person.name || person.kapso_name || person.phone ||
    texts.contact.unnamed;
}

/** A field, and the people that fit; `exceptId` is left out. */
export function PersonSearch({ label, exceptId, onChoose }: {
  label: string;
  exceptId?: string;
  onChoose: (person: Person) => void;
}) {
  const { supabase } = useApi();
  const workspace = useWorkspace();
  const [search, setSearch] = useState("");
  const wanted = useDeferredValue(search.trim());
  const query = useQuery({
    queryKey: ["people-search", workspace.id, wanted, exceptId],
    enabled: wanted !== "",
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      // Kept as search_text is: lower case, without accents. % and _ would be wildcards.
      const key = wanted.normalize("NFKD").replace(/[\u0300-\u036f]/g, "")
        .toLowerCase()
        .replace(/[\\%_*]/g, "");
      let request = supabase.from("people")
        .select(
          "id, workspace_id, name, kapso_name, email, phone, avatar_url, last_activity_at",
        )
        .eq("workspace_id", workspace.id).ilike("search_text", `%${key}%`);
      if (exceptId !== undefined) request = request.neq("id", exceptId);
      return unwrap(await request.limit(SHOWN).abortSignal(signal)) as Person[];
    },
  });
  return (
    <div className="person-search">
      <input
        className="input"
        type="search"
        aria-label={label}
        placeholder={label}
        value={search}
        autoFocus
        onChange={(event) => setSearch(event.target.value)}
      />
      {wanted === "" && <p className="muted">{texts.contact.typeToSearch}</p>}
      {query.isError && <p className="form-error" role="alert">{describeError(query.error)}</p>}
      {wanted !== "" && query.data?.length === 0 && (
        <p className="muted" role="status">{texts.contact.noResults}</p>
      )}
      <ul className="person-results">
        {wanted !== "" && query.data?.map((person) => (
          <li key={person.id}>
            <button
              type="button"
              className="person-result"
              onClick={() => onChoose(person)}
            >
              <Avatar name={personName(person)} size="small" />
              <span>
                <strong>{personName(person)}</strong>
                <small>
                  {[person.phone, person.email].filter(Boolean).join(" · ")}
                </small>
              </span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
