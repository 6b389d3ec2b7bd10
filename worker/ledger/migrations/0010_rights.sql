-- Rights of everything that has come since 0003, each in the function of its own migration: whoever runs `db migrate`
-- again after having made a role gives it all of them.
alter function ledger.grant_rights() rename to grant_rights_of_0003;

create function ledger.grant_rights() returns void language plpgsql as $$
begin
    perform ledger.grant_rights_of_0003(); -- makes the roles; all three may read every table and view
    perform ledger.grant_rights_0005();
    perform ledger.grant_rights_0006();
    perform ledger.grant_rights_0007();
end $$;
