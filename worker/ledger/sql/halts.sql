-- name: lift_halt
-- Trading goes on.
update ledger.accounts
set halted = false, halt_reason = null, halted_by = null, halted_at = null
where account = %(account)s
