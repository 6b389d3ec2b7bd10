-- name: list_dead_letters
-- The newest first.
select letter_id as id, reason, detail, state, account, trade_id, execution_id, source_queue, failed_at, taken_in_at,
       state_by, state_reason, state_at, symbol, exception, fingerprint, follows
from ledger.letters_that_fit(%(account)s, %(symbol)s, %(reasons)s, %(states)s, %(since)s, %(until)s, %(text)s,
                             %(group)s)
order by failed_at desc, letter_id
limit %(limit)s

-- name: letters_to_change
-- The same letters for a change of many: only what a plan needs, the oldest first.
select letter_id as id, desk, reason, state, state_by, account, symbol
from ledger.letters_that_fit(%(account)s, %(symbol)s, %(reasons)s, %(states)s, %(since)s, %(until)s, %(text)s,
                             %(group)s)
order by failed_at, letter_id
limit %(limit)s

-- name: letters_named
-- The same of letters that an operator names.
select letter_id as id, desk, reason, state, state_by, account, symbol
from ledger.dead_letters where letter_id = any(%(ids)s)
order by failed_at, letter_id

-- name: move_letters
-- By an operator's hand; those that are in another state by now stay in it.
update ledger.dead_letters
set state = %(state)s, state_by = %(by)s, state_reason = %(reason)s, state_at = %(at)s
where letter_id = any(%(ids)s) and state = any(%(sources)s)
returning letter_id, execution_id

-- name: dead_letter
-- All of one.
select letter_id as id, reason, detail, state, account, trade_id, execution_id, source_queue, failed_at, taken_in_at,
       state_by, state_reason, state_at, symbol, exception, fingerprint, follows, body, envelope, headers
from ledger.dead_letters where letter_id = %(letter_id)s
