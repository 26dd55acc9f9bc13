-- Purpose: tell whether a key of an agent is one, for a request that is refused before anything is asked
--   of the database: whoever has no key is told that, and not what is wrong with the request.
-- Objects: check_agent_key.
-- Risk: none; a new function only.

create function public.check_agent_key(key_sha256 text)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
  return private.workspaces_of_agent_key(check_agent_key.key_sha256) is not null;
end;
$$;
comment on function public.check_agent_key(text) is
  'Whether a key (its SHA-256 in hexadecimal) opens any workspace. For service_role only.';

revoke execute on function public.check_agent_key(text) from public, anon, authenticated, service_role;
grant execute on function public.check_agent_key(text) to service_role;
