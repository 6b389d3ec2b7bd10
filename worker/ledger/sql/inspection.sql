-- name: inspect_server
-- What the promise rests on, as the server itself says.
select current_setting('server_version_num')::int as version_number,
       current_setting('server_version') as version,
       current_setting('fsync') = 'on' as fsync,
       current_setting('full_page_writes') = 'on' as full_page_writes,
       current_setting('synchronous_standby_names') as synchronous_standbys,
       pg_is_in_recovery() as read_only,
       (select count(*) from pg_stat_replication) as standbys,
       (select setting from pg_settings where name = 'synchronous_commit') as synchronous_commit,
       clock_timestamp() as now,
       current_user as user_name

-- name: missing_rights
-- What the worker does to each table, as far as this user may not do it.
select format('%s on %s', lower(w.privilege), w.name) as missing
from (values
    ('ledger.accounts', 'INSERT'), ('ledger.accounts', 'UPDATE'),
    ('ledger.executions', 'INSERT'), ('ledger.executions', 'UPDATE'),
    ('ledger.attempts', 'INSERT'), ('ledger.attempts', 'UPDATE'),
    ('ledger.dead_letters', 'INSERT'), ('ledger.dead_letters', 'UPDATE'),
    ('ledger.namespaces', 'INSERT'), ('ledger.orphans', 'INSERT'), ('ledger.deals', 'INSERT'),
    ('ledger.confirmations', 'INSERT'),
    ('ledger.reply_addresses', 'INSERT'), ('ledger.refusals', 'INSERT'), ('ledger.audit_events', 'INSERT'),
    ('ledger.outbox', 'INSERT'), ('ledger.outbox', 'DELETE')
) as w (name, privilege)
where not has_table_privilege(w.name, w.privilege)
union all
select 'usage on ledger.trade_counter' where not has_sequence_privilege('ledger.trade_counter', 'USAGE')
order by 1
