-- Refuse messages that are neither inbound nor outbound where they would be counted.
-- Objects: a check on private.message_count_parts.
-- Risk: none. The functions check before; whoever calls ingest_conversations by SQL gets an error for that
--   conversation, where until now the counts of every workspace could no longer be added up.

delete from private.message_count_parts where direction not in ('inbound', 'outbound');
alter table private.message_count_parts
  add constraint message_count_parts_direction_check check (direction in ('inbound', 'outbound'));
