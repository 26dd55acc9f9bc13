-- Purpose: find the summaries of a day, and the newest day, without reading all notes of a workspace.
-- Objects: an index on person_notes.
-- Risk: none; the table is not written to while the index is made, which takes no time on a new one.

create index person_notes_workspace_id_local_date_idx
  on public.person_notes (workspace_id, local_date) where local_date is not null;
comment on index public.person_notes_workspace_id_local_date_idx is 'The summaries of a day.';
