-- Storing what a bridge sends with its key: the check of the key and the door in one call.

create function public.ingest_with_key(
  connection_id text,
  platform text,
  secret_sha256 text,
  conversations jsonb
)
returns table (
  connection uuid,
  id uuid,
  external_conversation_id text,
  outcome text,
  messages_added integer,
  error text
)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  verified record;
begin
  select known.* into verified
  from public.verify_connection_secret(
    ingest_with_key.connection_id, ingest_with_key.secret_sha256, ingest_with_key.platform
  ) as known;
  if verified.id is null then
    raise exception 'invalid_connection' using errcode = 'PT401';
  elsif not verified.is_valid then
    raise exception 'invalid_api_key' using errcode = 'PT401';
  end if;
  -- First, because a paused workspace has no requests left and no active connection: the sender sends again later.
  perform private.check_limit('connection_requests_per_minute', verified.id, interval '1 minute', 'rate_limited');
  if not verified.is_active then
    raise exception 'connection_inactive' using errcode = 'PT403';
  end if;
  return query
  select verified.id, stored.id, stored.external_conversation_id, stored.outcome, stored.messages_added, stored.error
  from public.ingest_conversations(verified.id, ingest_with_key.conversations) as stored;
  -- Last, because the count stays locked until the transaction ends, and storing may take seconds.
  perform private.use_limit('connection_requests_per_minute', verified.id, interval '1 minute', 'rate_limited');
end;
$$;
comment on function public.ingest_with_key(text, text, text, jsonb) is
  'ingest_conversations() for a connection by its name and platform and the SHA-256 (hex) of its API secret: refuses '
  'with invalid_connection, invalid_api_key, connection_inactive or rate_limited, and stores nothing then. Counts the '
  'request. connection: the primary key of the connection, in every row. For service_role only.';

revoke execute on function public.ingest_with_key(text, text, text, jsonb)
from public, anon, authenticated, service_role;
grant execute on function public.ingest_with_key(text, text, text, jsonb) to service_role;
