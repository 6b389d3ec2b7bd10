-- name: sends_under_way
-- Orders that are written ahead and whose answer is not recorded: each is being sent, was sent, or may still be. What
-- was written ahead a minute ago is long past its time, whatever the difference between two machines' clocks.
select count(*) as count
from ledger.executions e join ledger.attempts a on a.execution_id = e.execution_id and a.number = e.attempts
where e.account = %(account)s and e.is_open and e.state = 'submitting' and a.written_at > now() - interval '1 minute'
  and (%(symbols)s::text[] is null or e.symbol = any(%(symbols)s))

-- name: halts_of_account
-- What stands now, without waiting for whoever has locked the row.
select halted, halt_reason, halted_by, halted_at, halt_holds, symbol_halts
from ledger.accounts where account = %(account)s
