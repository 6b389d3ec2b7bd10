-- name: insert_broker_facts
-- What a canary has measured.
insert into ledger.broker_facts (server, login, symbol, measured_at, measured_by, account, history_lag, keeps_magic,
                                 keeps_comment, facts)
values (%(server)s, %(login)s, %(symbol)s, %(measured_at)s, %(measured_by)s, %(account)s, %(history_lag)s,
        %(keeps_magic)s, %(keeps_comment)s, %(facts)s::jsonb)

-- name: last_broker_facts
-- The newest measurement of each symbol of a login: what the worker goes by.
select distinct on (symbol) measured_at, measured_by, server, login, symbol, history_lag, keeps_magic, keeps_comment
from ledger.broker_facts
where server = %(server)s and login = %(login)s
order by symbol, measured_at desc

-- name: last_broker_facts_of_account
-- The same of whatever login the account's canaries flew on last, for `doctor`.
select distinct on (symbol) measured_at, measured_by, server, login, symbol, history_lag, keeps_magic, keeps_comment
from ledger.broker_facts
where (server, login) = (select server, login from ledger.broker_facts where account = %(account)s
                         order by measured_at desc limit 1)
order by symbol, measured_at desc

-- name: leader_of_login
-- Who leads the account of this login, and for how long (s) nothing was heard of him; no row when nobody does.
select account, lease_holder, extract(epoch from now() - lease_renewed_at)::float8 as lease_age_seconds
from ledger.accounts
where server = %(server)s and login = %(login)s and lease_holder is not null
