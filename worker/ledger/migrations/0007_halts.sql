-- Halts of single symbols, and halts that keep trades waiting instead of having them rejected. They stand in the
-- account's row and not in a table of their own: a transaction that has waited for the row's lock reads the row as it is
-- then, but everything else as it was when the wait began. It would not see a halt that was committed meanwhile.
alter table ledger.accounts
    add column halt_holds boolean not null default false,
    add column symbol_halts jsonb not null default '{}', -- by RPM's name of the symbol: reason, by, at, hold
    add constraint only_a_halt_holds check (halted or not halt_holds),
    add constraint a_symbol_s_halt_has_a_reason check (
        jsonb_typeof(symbol_halts) = 'object' and not jsonb_path_exists(
            symbol_halts, '$.* ? (!exists(@.reason) || !exists(@.by) || !exists(@.at) || !exists(@.hold))'));

-- What was written ahead lately, for the limits on orders sent: read when a worker starts. It costs the writers nothing.
create index attempts_by_time on ledger.attempts using brin (written_at) with (pages_per_range = 16);

create function ledger.grant_rights_0007() returns void language plpgsql as $$
begin
    if exists (select from pg_roles where rolname = 'mt5_operator') then
        grant update (halt_holds, symbol_halts) on ledger.accounts to mt5_operator;
    end if;
end $$;

select ledger.grant_rights_0007();
