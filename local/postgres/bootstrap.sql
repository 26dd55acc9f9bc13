-- What a hosted Supabase database has before the first migration, as far as migrations, policies and the REST API
-- rely on it: roles, memberships, default privileges, schemas, the Realtime publication, and the triggers that tell
-- the API about changed tables. From the migrations of supabase/postgres, and a dump of a hosted cluster.
--
-- Runs once, in a new cluster, as supabase_admin, its only superuser. Everything afterwards is done by `postgres`,
-- which is none. Rerunning it would give back default privileges that a migration has taken away.

-- Roles. `local/postgres/roles.ts` gives those that log in their password.
create role postgres login createdb createrole replication bypassrls;
create role anon nologin;
create role authenticated nologin;
create role service_role nologin bypassrls;
create role authenticator login noinherit;
create role supabase_auth_admin login noinherit createrole;
create role supabase_storage_admin login noinherit createrole;
create role supabase_realtime_admin nologin noinherit;

comment on role supabase_admin is 'The superuser, who creates what belongs to Supabase. No program of a project has it.';
comment on role postgres is 'Owner of the project''s tables and functions: migrations run as it. Not a superuser.';
comment on role anon is 'Requests with the publishable key, without a signed-in user.';
comment on role authenticated is 'Requests of a person who is signed in.';
comment on role service_role is 'Requests with the secret key. Row level security does not apply.';
comment on role authenticator is 'The REST API logs in as it, and becomes one of the three roles above for each request.';
comment on role supabase_auth_admin is 'The Auth service logs in as it. Owns the schema auth.';
comment on role supabase_storage_admin is 'The Storage service logs in as it, on hosted projects.';
comment on role supabase_realtime_admin is 'Owns what Realtime reads, on hosted projects.';

grant anon, authenticated, service_role to authenticator;
grant authenticator to supabase_storage_admin;
-- With the admin option, as hosted: a migration may grant them to a role of its own.
grant anon, authenticated, service_role, authenticator to postgres with admin option;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres with admin option;
-- A policy needs the table's owner. For realtime.messages hosted projects allow `postgres` that by an extension
-- (supautils.policy_grants), which exists nowhere else.
grant supabase_realtime_admin to postgres;

-- Of what only a superuser can set, hosted projects let `postgres` set this (supautils.privileged_role_allowed_configs).
grant set on parameter session_replication_role, track_io_timing, log_min_messages to postgres;

-- The limits of the API. What runs as service_role has that of authenticator.
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter role supabase_auth_admin set idle_in_transaction_session_timeout = '60s';

alter role supabase_admin set search_path = "$user", public, auth, extensions;
alter role postgres set search_path = "$user", public, extensions;
alter role supabase_auth_admin set search_path = auth;
alter role supabase_storage_admin set search_path = storage;

-- The owner of the database also owns the schema public (pg_database_owner).
alter database postgres owner to postgres;
grant create on database postgres to supabase_auth_admin;

-- Extensions. Those of this file belong to supabase_admin.
create schema extensions authorization postgres;
comment on schema extensions is 'Where extensions go, so that they stay out of the API.';
grant usage on schema extensions to anon, authenticated, service_role;
alter default privileges in schema extensions grant all on tables to postgres with grant option;
alter default privileges in schema extensions grant all on routines to postgres with grant option;
alter default privileges in schema extensions grant all on sequences to postgres with grant option;

create extension pgcrypto with schema extensions;
create extension "uuid-ossp" with schema extensions;

-- New tables and functions in public are open to the API, no matter which of the two roles makes them, unless
-- migrations say otherwise.
grant usage on schema public to postgres, anon, authenticated, service_role;
alter default privileges for role postgres, supabase_admin in schema public
  grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role postgres, supabase_admin in schema public
  grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role postgres, supabase_admin in schema public
  grant all on sequences to postgres, anon, authenticated, service_role;

create schema auth authorization supabase_auth_admin;
comment on schema auth is 'People who can sign in, and their sessions. Belongs to the Auth service.';
grant usage on schema auth to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin, supabase_auth_admin in schema auth
  grant all on tables to postgres;
alter default privileges for role supabase_admin, supabase_auth_admin in schema auth
  grant all on sequences to postgres;
alter default privileges for role supabase_admin, supabase_auth_admin in schema auth
  grant all on routines to postgres;

create publication supabase_realtime;
alter publication supabase_realtime owner to postgres;

-- Tells the REST API that tables or functions have changed. Extensions and supabase_admin own event triggers, because
-- only a superuser can.
create function extensions.pgrst_ddl_watch() returns event_trigger
  language plpgsql
  set search_path = ''
as $$
begin
  notify pgrst, 'reload schema';
end
$$;
comment on function extensions.pgrst_ddl_watch() is
  'Tells the REST API that tables or functions have changed.';

create event trigger pgrst_ddl_watch on ddl_command_end
  execute function extensions.pgrst_ddl_watch();
create event trigger pgrst_drop_watch on sql_drop
  execute function extensions.pgrst_ddl_watch();

-- Hosted projects let `postgres` create pg_cron and pg_net, and give it afterwards what it needs of them.
create function extensions.grant_extension_access() returns event_trigger
  language plpgsql
  security definer
  set search_path = ''
as $$
begin
  if exists (
    select from pg_catalog.pg_event_trigger_ddl_commands() as command
    join pg_catalog.pg_extension as extension on extension.oid = command.objid
    where extension.extname = 'pg_cron'
  ) then
    grant usage on schema cron to postgres with grant option;
    grant all on all functions in schema cron to postgres with grant option;
    grant all on all tables in schema cron to postgres with grant option;
    revoke all on table cron.job from postgres;
    grant select on table cron.job to postgres with grant option;
  end if;
  if exists (
    select from pg_catalog.pg_event_trigger_ddl_commands() as command
    join pg_catalog.pg_extension as extension on extension.oid = command.objid
    where extension.extname = 'pg_net'
  ) then
    grant usage on schema net to postgres, anon, authenticated, service_role;
    grant execute on all functions in schema net to postgres, anon, authenticated, service_role;
  end if;
end
$$;
comment on function extensions.grant_extension_access() is
  'Gives postgres what it needs of pg_cron and pg_net, after it has created them.';

create event trigger grant_extension_access on ddl_command_end when tag in ('CREATE EXTENSION')
  execute function extensions.grant_extension_access();
