-- name: list_dead_letters
-- The newest first.
select letter_id as id, reason, detail, state, account, trade_id, execution_id, source_queue, failed_at, taken_in_at,
       state_by, state_reason, state_at, symbol, exception, fingerprint, follows, imported_by
from ledger.letters_that_fit(%(account)s, %(symbol)s, %(reasons)s, %(states)s, %(since)s, %(until)s, %(text)s,
                             %(group)s)
order by failed_at desc, letter_id
limit %(limit)s

-- name: letters_to_change
-- The same letters for a change of many: only what a plan needs, the oldest first; the latest of each chain, if wanted.
select letter_id as id, desk, reason, state, state_by, account, symbol
from ledger.letters_that_fit(%(account)s, %(symbol)s, %(reasons)s, %(states)s, %(since)s, %(until)s, %(text)s,
                             %(group)s) d
where not %(latest)s or not exists (select from ledger.dead_letters f where f.follows = d.letter_id)
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
       state_by, state_reason, state_at, symbol, exception, fingerprint, follows, imported_by, body, envelope, headers
from ledger.dead_letters where letter_id = %(letter_id)s

-- name: related_letters
-- The letters of the same message or trade, the oldest first: those that led to it by replays and that came of it, and
-- those that name its execution or its trade.
with recursive this as (
    select letter_id, account, trade_id, execution_id from ledger.dead_letters where letter_id = %(id)s
), chain as (
    select letter_id, follows from ledger.dead_letters where letter_id = %(id)s
    union
    select d.letter_id, d.follows
    from chain c join ledger.dead_letters d on d.letter_id = c.follows or d.follows = c.letter_id
), related as (
    select letter_id from chain
    union
    select d.letter_id from this t join ledger.dead_letters d on d.execution_id = t.execution_id
    union
    select d.letter_id from this t join ledger.dead_letters d
        on d.trade_id = t.trade_id and d.account is not distinct from t.account
)
select * from (
    select letter_id as id, reason, detail, state, account, trade_id, execution_id, source_queue, failed_at,
           taken_in_at, state_by, state_reason, state_at, symbol, exception, fingerprint, follows, imported_by
    from ledger.dead_letters join related using (letter_id)
    order by letter_id = %(id)s desc, failed_at, letter_id
    limit %(limit)s
) of_them order by failed_at, id

-- name: replays_of_letters
-- Every try of these letters, the oldest first.
select replay_id, letter_id, by, reason, allow_stale, created_at, consumed_at, consumed_as
from ledger.replays where letter_id = any(%(ids)s) order by created_at, replay_id

-- name: trade_of_letter
-- The trade that a letter names: by its execution, else by its own id on its account.
select execution_id from ledger.executions
where execution_id = %(execution_id)s
   or (trade_id = %(trade_id)s and account = %(account)s and identity_kind in ('order_id', 'message_id', 'body'))
order by execution_id = %(execution_id)s desc nulls last
limit 1

-- name: letter_groups
-- Letters that fit, by fingerprint; the group that grew last comes first.
select g.*, d.detail as example
from (
    select fingerprint, reason, exception, sum(letters)::bigint as letters, jsonb_object_agg(state, letters) as states,
           min(first_at) as first_at, max(last_at) as last_at, (array_agg(newest order by last_at desc))[1] as newest
    from (
        select fingerprint, reason, exception, state, count(*) as letters, min(failed_at) as first_at,
               max(failed_at) as last_at, (array_agg(letter_id order by failed_at desc))[1] as newest
        from ledger.letters_that_fit(%(account)s, %(symbol)s, %(reasons)s, %(states)s, %(since)s, %(until)s, %(text)s,
                                     %(group)s)
        group by fingerprint, reason, exception, state
    ) by_state
    group by fingerprint, reason, exception
    order by max(last_at) desc, fingerprint
    limit %(limit)s
) g join ledger.dead_letters d on d.letter_id = g.newest
order by last_at desc, fingerprint

-- name: letters_to_export
-- The next letters in the order in which they failed, and no more of them than fit the memory that is meant for them.
select letter_id, source_queue, account, reason, detail, trade_id, execution_id, follows, failed_at, content_digest,
       taken_in_at, taken_in_by, state, state_by, state_reason, state_at, headers, envelope, body
from (
    select o.*, sum(octet_length(body)) over (order by failed_at, letter_id) as bytes,
           row_number() over (order by failed_at, letter_id) as place
    from (
        select *
        from ledger.letters_that_fit(%(account)s, %(symbol)s, %(reasons)s, %(states)s, %(since)s, %(until)s, %(text)s,
                                     %(group)s)
        where %(after)s::timestamptz is null or (failed_at, letter_id) > (%(after)s, %(after_id)s::uuid)
        order by failed_at, letter_id limit %(limit)s
    ) o
) o
where o.bytes <= %(bytes)s or place = 1
order by failed_at, letter_id

-- name: take_letters_over
-- Letters of another ledger that are not here yet. What may have been executed without this ledger's knowledge is put
-- away, so that nobody tries it again without having looked.
with given as (
    select g.*, case
               when g.state = 'replaying' then 'it was being replayed when it was exported'
               when g.reason = 'outcome_unknown'
                    and not exists (select from ledger.executions e where e.execution_id = g.execution_id)
                   then 'its order may stand at the broker, and its execution is not in this ledger'
           end as doubt
    from json_populate_recordset(null::ledger.dead_letters, %(rows)s::json) with ordinality as g
)
insert into ledger.dead_letters (
    letter_id, desk, source_queue, account, reason, detail, body, envelope, headers, trade_id, execution_id, follows,
    failed_at, content_digest, taken_in_at, taken_in_by, imported_by, state, state_by, state_reason, state_at)
select letter_id, desk, source_queue, account, reason, detail, (%(bodies)b::bytea[])[ordinality], envelope, headers,
       trade_id, execution_id, follows, failed_at, content_digest, taken_in_at, taken_in_by, imported_by,
       case when doubt is null then state else 'discarded' end,
       case when doubt is null then state_by else %(by)s end,
       case when doubt is null then state_reason else doubt || ': look there before you restore it' end,
       case when doubt is null then state_at else %(at)s end
from given
on conflict (letter_id) do nothing
returning letter_id, source_queue, account, reason, trade_id, execution_id, state
