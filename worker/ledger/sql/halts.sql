-- name: sends_under_way
-- Orders that are written ahead and whose answer is not recorded: each is being sent, was sent, or may still be. Not by
-- their times, which are those of another machine's clock.
select count(*) as count
from ledger.executions
where account = %(account)s and is_open and state = 'submitting'
  and (%(symbols)s::text[] is null or symbol = any(%(symbols)s))

-- name: halts_of_account
-- What stands now, without waiting for whoever has locked the row.
select halted, halt_reason, halted_by, halted_at, halt_holds, symbol_halts
from ledger.accounts where account = %(account)s
