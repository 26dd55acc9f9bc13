-- The schemas, extensions and default privileges everything else relies on.
--
-- The roles anon, authenticated and service_role and the schema auth are Supabase's own. On plain Postgres
-- they have to exist before this file runs (docs/guides/deploy.md shows how).

create schema private;

comment on schema private is
  'Out of reach of clients: the ledger of message ids, secrets, and functions that need more rights than their '
  'caller. Never listed in [api].schemas.';

create schema if not exists extensions;

grant usage on schema extensions to anon, authenticated, service_role;

-- Trigram search for the inbox. Created before the revokes below, because the functions of an
-- extension need the execute privilege that Postgres grants to public by default.
create extension if not exists pg_trgm with schema extensions;

-- Postgres grants execute on a new function to public, and hosted Supabase grants every new table and
-- function in public to anon and authenticated. Here each object is granted by name instead. The
-- first statement has to be global: a revoke "in schema" cannot take back the built-in grant.
alter default privileges revoke execute on functions from public;

alter default privileges in schema public revoke execute on functions from anon, authenticated, service_role;

alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;

alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;

-- Policies call the membership functions of this schema, so both roles may name it. What they may
-- execute in it is granted function by function, and a test pins the list.
grant usage on schema private to authenticated, service_role;
