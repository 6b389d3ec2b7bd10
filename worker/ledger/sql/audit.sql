-- name: audit_chains
-- Every account that has a chain or ought to have one; an index hop for each instead of a walk through all events.
with recursive named as (
    (select account from ledger.audit_events order by account limit 1)
    union all
    select (select e.account from ledger.audit_events e where e.account > n.account order by e.account limit 1)
    from named n where n.account is not null
)
select account from ledger.accounts
union
select account from named where account is not null
order by account

-- name: audit_ends
-- Where a chain ends, and where its account's row says it does, both at one moment.
select coalesce(a.audit_sequence, 0) as head_sequence, coalesce(a.audit_hash, repeat('0', 64)) as head_hash,
       coalesce((select max(sequence) from ledger.audit_events e where e.account = n.account), 0) as last
from (select %(account)s::text as account) n left join ledger.accounts a using (account)

-- name: walk_along_the_index
-- Before statistics are there, PostgreSQL would rather sort all that is left of a chain for each page of it. What is
-- switched off counts as so dear that each page would be compiled to machine code first, for longer than it takes.
select set_config('enable_sort', 'off', false), set_config('enable_bitmapscan', 'off', false),
       set_config('jit', 'off', false)

-- name: audit_page
-- The next events of a chain, no more of them than fit the memory that is meant for them; of a selection those that
-- belong to it, and the last one of the page. Their times are text of one length, so that bytes compare as moments.
with page as (
    select e.*, case when execution_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then execution_id::uuid end as trade
    from (
        select e.*, sum(octet_length(payload)) over (order by sequence) as bytes,
               row_number() over (order by sequence) as place
        from (
            select * from ledger.audit_events
            where account = %(account)s and sequence > %(after)s and sequence <= %(last)s
            order by sequence limit %(limit)s
        ) e
    ) e
    where bytes <= %(bytes)s or place = 1
), marked as (
    select page.*, sequence = max(sequence) over () as is_last,
           (%(since)s::text is null or at >= %(since)s collate "C")
           and (%(until)s::text is null or at < %(until)s collate "C")
           and (%(symbol)s::text is null
                or exists (select from ledger.executions x where x.execution_id = trade and x.symbol = %(symbol)s)
                or exists (select from ledger.confirmations c
                           where c.execution_id = trade and c.version = 1 and c.symbol = %(symbol)s)) as is_wanted
    from page
)
select account, sequence, at, actor, kind, execution_id, payload, previous_hash, hash, is_wanted
from marked where is_wanted or is_last
order by sequence

-- name: audit_page_of_trade
-- The next events of a chain that name one of these executions.
select account, sequence, at, actor, kind, execution_id, payload, previous_hash, hash, true as is_wanted
from ledger.audit_events
where execution_id = any(%(ids)s) and account = %(account)s and sequence > %(after)s and sequence <= %(last)s
  and (%(since)s::text is null or at >= %(since)s collate "C")
  and (%(until)s::text is null or at < %(until)s collate "C")
order by sequence
limit %(limit)s

-- name: audit_names_of_trade
-- What the trail calls a trade: its execution, by either id; a refused message has an execution id only.
select execution_id::text from ledger.executions
where execution_id::text = %(name)s
   or (trade_id = %(name)s and identity_kind in ('order_id', 'message_id', 'body'))
union
select execution_id from (select execution_id from ledger.audit_events where execution_id = %(name)s limit 1) e

-- name: ledger_identity
-- Which ledger this is: its first token namespace is drawn once for all times, whatever becomes of the database.
select current_database() as database,
       (pg_control_system()).system_identifier::text as system_identifier,
       (select namespace::text from ledger.namespaces where number = 1) as first_namespace
