-- name: insist_on_durable_commits
-- A server may be set up to answer commits before they are on disk. The ledger's promise does not survive that.
select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'

-- name: lift_the_limits
-- A migration may wait for another one, and may take long.
select set_config('lock_timeout', '0', false), set_config('statement_timeout', '0', false)

-- name: lock_migrations
-- One migration at a time; the number is arbitrary and only has to stay the same.
select pg_advisory_lock(77350417)

-- name: prepare_for_migrations
-- What must be there before the first migration can be recorded.
do $$ begin
    if to_regclass('ledger.migrations') is null then
        create schema if not exists ledger;
        create table ledger.migrations (
            version    integer primary key,
            name       text not null,
            checksum   text not null,
            applied_at timestamptz not null default now()
        );
    end if;
end $$

-- name: applied_migrations
-- What was applied to this database so far.
select version, name, checksum from ledger.migrations order by version

-- name: record_migration
-- Written in the transaction of the migration itself.
insert into ledger.migrations (version, name, checksum) values (%(version)s, %(name)s, %(checksum)s)

-- name: grant_rights
-- Roles that did not exist when the schema was made get their rights at the next migration.
select ledger.grant_rights()
