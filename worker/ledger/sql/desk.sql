-- name: list_dead_letters
-- The newest first.
select letter_id as id, reason, detail, state, account, trade_id, execution_id, source_queue, failed_at, taken_in_at,
       state_by, state_reason, state_at
from ledger.dead_letters
where (%(account)s::text is null or account = %(account)s)
  and (%(reason)s::text is null or reason = %(reason)s)
  and (%(state)s::text is null or state = %(state)s)
  and (%(since)s::timestamptz is null or taken_in_at >= %(since)s)
  and (%(until)s::timestamptz is null or taken_in_at < %(until)s)
order by taken_in_at desc, letter_id
limit %(limit)s

-- name: dead_letter
-- All of one.
select letter_id as id, reason, detail, state, account, trade_id, execution_id, source_queue, failed_at, taken_in_at,
       state_by, state_reason, state_at, body, envelope, headers
from ledger.dead_letters where letter_id = %(letter_id)s
