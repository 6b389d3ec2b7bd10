-- For a batch that decides before it looks: locks an account's row and fails unless it is as the worker's last batch has
-- left it. Whoever else changes anything for an account appends to its audit trail: then the head is another one. Halts
-- stand in the row too, and are named for themselves. `namespace` is the one that new tokens are made of, null when the
-- batch makes none; `deals` are those that the batch brings, of which none may stand here on an operator's word.
create function ledger.lock_as_foreseen(
    account text, epoch bigint, holder text, sequence bigint, hash text, batch uuid, namespace integer, deals bigint[]
) returns void language plpgsql as $$
begin
    perform from ledger.accounts a
    where a.account = $1 and a.lease_epoch = $2 and a.lease_holder = $3 and a.audit_sequence = $4 and a.audit_hash = $5
      and a.last_batch = $6 and not a.halted and a.symbol_halts = '{}'
    for update;
    if not found then
        raise exception 'account %: its row is not as foreseen', $1 using errcode = 'MW005';
    end if;
    if $7 is distinct from (select n.namespace from ledger.namespaces n where $7 is not null order by n.number desc limit 1)
    then
        raise exception 'account %: tokens come from another namespace than foreseen', $1 using errcode = 'MW005';
    end if;
    if exists (select from ledger.deals d where d.account = $1 and d.deal_id = any($8) and d.attested_by is not null) then
        raise exception 'account %: a deal was attested, which was not foreseen', $1 using errcode = 'MW005';
    end if;
end $$;
