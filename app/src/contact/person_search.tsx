/**
 * Finds a person of the workspace by name, number or email.
 *
 * @module
 */

import { useQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { describeError } from "../api/api_error.ts";
import { useApi } from "../api/context.tsx";
import type { Person } from "../api/rows.ts";
import { personName } from "../format.ts";
import { texts } from "../texts.ts";
import { Avatar } from "../ui/avatar.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import { peopleSearchQuery } from "./queries.ts";

/** A search field and the people that match, without the one with `exceptId`. */
export function PersonSearch({ label, exceptId, onChoose }: {
  label: string;
  exceptId?: string;
  onChoose: (person: Person) => void;
}) {
  const api = useApi();
  const workspace = useWorkspace();
  const [search, setSearch] = useState("");
  const wanted = useDeferredValue(search.trim());
  const query = useQuery(
    peopleSearchQuery(api, { workspaceId: workspace.id, text: wanted, exceptId }),
  );
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
