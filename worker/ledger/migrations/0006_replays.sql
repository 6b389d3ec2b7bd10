-- A message that was lost on its way leaves its letter in `replaying`. The letter may be replayed again then, and the
-- permission of the lost message is superseded, as is every earlier one: of all permissions of a letter at most one
-- stands, so that whatever turns up late, only one of them is ever used.
alter table ledger.replays add column superseded_at timestamptz;

update ledger.replays r set superseded_at = now()
where exists (
    select from ledger.replays later
    where later.letter_id = r.letter_id and (later.created_at, later.replay_id) > (r.created_at, r.replay_id));

create unique index one_permission_stands on ledger.replays (letter_id) where superseded_at is null;

create function ledger.grant_rights_0006() returns void language plpgsql as $$
begin
    if exists (select from pg_roles where rolname = 'mt5_operator') then
        grant update (superseded_at) on ledger.replays to mt5_operator;
    end if;
end $$;

select ledger.grant_rights_0006();
