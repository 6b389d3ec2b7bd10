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
-- Before statistics are there, PostgreSQL would rather sort all that is left of a chain for each page of it.
select set_config('enable_sort', 'off', false), set_config('enable_bitmapscan', 'off', false)

-- name: audit_page
-- The next events of a chain. Their times are text of one length, so that bytes compare as moments.
select account, sequence, at, actor, kind, execution_id, payload, previous_hash, hash
from ledger.audit_events
where account = %(account)s and sequence > %(after)s and sequence <= %(last)s
  and (%(since)s::text is null or at >= %(since)s collate "C")
  and (%(until)s::text is null or at < %(until)s collate "C")
order by sequence
limit %(limit)s
