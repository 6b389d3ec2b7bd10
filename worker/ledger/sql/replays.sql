-- name: letters_to_replay
-- Dead letters with what decides about their replay, but for the trades that their messages are: how far the message of
-- the permission that stands has come, and where the execution stands that the letter itself names.
select d.letter_id, d.account, d.reason, d.state, d.state_by, d.body, d.envelope, d.trade_id, d.execution_id,
       d.imported_by, e.state as named_state, r.created_at as ordered_at, r.consumed_at is not null as is_used,
       d.state = 'replaying' and exists (
           select from ledger.outbox o
           where o.kind = 'replay' and o.properties #>> '{headers,replay-id}' = r.replay_id::text
       ) as is_waiting
from ledger.dead_letters d
left join ledger.executions e on e.execution_id = d.execution_id
left join ledger.replays r on r.letter_id = d.letter_id and r.superseded_at is null
where d.letter_id = any(%(ids)s)

-- name: look_at_accounts
-- Those of them that a worker has run for.
select * from ledger.accounts where account = any(%(accounts)s)

-- name: lock_replays
-- Whoever looks at a letter's permissions to use one, or to make another, waits here: its account's worker for the
-- account's row before, the worker of another account, which may have found its message among the dead letters, for these.
select from ledger.replays where letter_id = %(letter_id)s order by replay_id for update

-- name: lock_letter
-- After its permissions, as workers lock the two. An operator may be putting it away.
select from ledger.dead_letters where letter_id = %(letter_id)s for update

-- name: supersede_replays
-- Only the permission that comes now stands.
update ledger.replays set superseded_at = %(at)s where letter_id = %(letter_id)s and superseded_at is null

-- name: begin_replay
-- By an operator; the worker ends it by itself.
update ledger.dead_letters
set state = 'replaying', state_by = %(by)s, state_reason = %(reason)s, state_at = %(at)s
where letter_id = %(letter_id)s

-- name: ends_of_replays
-- What became of these letters, and of the trades that they were.
select d.letter_id, d.state, e.state as status, e.reason
from ledger.dead_letters d
left join ledger.replays r on r.letter_id = d.letter_id and r.superseded_at is null
left join ledger.executions e on e.execution_id = r.execution_id
where d.letter_id = any(%(ids)s)
