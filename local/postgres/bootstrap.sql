-- What a hosted Supabase database has before the first migration, as far as migrations, policies and
-- the REST API rely on it: roles, schemas, privileges, the Realtime publication, and the triggers
-- that tell the API about changed tables. Runs once, in a new cluster, as a superuser.
-- Rerunning it would give back default privileges that a migration has taken away.

create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator;

comment on role anon is 'Requests with the publishable key, without a signed-in user.';
comment on role authenticated is 'Requests of a person who is signed in.';
comment on role service_role is 'Requests with the secret key. Row level security does not apply.';
comment on role authenticator is 'Holds the three roles above, as on hosted Supabase. Not used here.';

create schema extensions;
comment on schema extensions is 'Where extensions go, so that they stay out of the API.';
grant usage on schema extensions to anon, authenticated, service_role;
alter default privileges in schema extensions
  grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges in schema extensions
  grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges in schema extensions
  grant all on sequences to postgres, anon, authenticated, service_role;

-- Hosted projects begin with these two.
create extension if not exists pgcrypto with schema extensions;
create extension if not exists "uuid-ossp" with schema extensions;

grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public
  grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges in schema public
  grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges in schema public
  grant all on sequences to postgres, anon, authenticated, service_role;

create schema auth;
comment on schema auth is 'People who can sign in, and their sessions. Belongs to the Auth service.';
grant usage on schema auth to anon, authenticated, service_role;

do $$
begin
  execute format(
    'alter database %I set search_path to "$user", public, extensions', current_database()
  );
end
$$;

create publication supabase_realtime;

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
