-- Erasing an end user: the hash of an entry covers what can name a person as one salted digest, so that the text and
-- the salt can be removed and the books stay provable.

-- 32 random bytes: a digest of 366 random bits. Null when the end user was erased.
alter table accounts
    add column salt bytea default sha256(
        uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
    add constraint accounts_salt_is_32_bytes check (octet_length(salt) = 32);

-- Version 1 is that of the entries of before, and of the workers of the earlier release during an update.
-- `personal_digest` is null until an erasure removes the text that it follows from.
alter table entries
    add column version smallint not null default 1,
    add column personal_digest bytea,
    add constraint entries_version_known check (version in (1, 2)),
    add constraint entries_personal_digest_is_sha256 check (octet_length(personal_digest) = 32);

-- An end user that is erased: its account has an opaque id and no salt from then on.
alter table accounts
    add column erased_at timestamptz,
    add constraint accounts_erased_without_salt check ((erased_at is null) = (salt is not null));

-- The erasures whose clear text is still to be removed, with the last copies of the id and the salt. `up_to` is the
-- last entry with text, `revision` that of the account after the erasure; of the tables before `stage` everything is
-- removed, and of that one everything up to `done`.
create table erasures (
    environment_id integer not null,
    account_id bigint not null,
    end_user_id text not null,
    salt bytea not null,
    up_to bigint not null,
    revision bigint not null,
    stage smallint not null default 0,
    done bigint not null default 0,
    begun_at timestamptz not null default clock_timestamp(),
    constraint erasures_pkey primary key (environment_id, account_id),
    constraint erasures_account_fkey foreign key (environment_id, account_id)
        references accounts (environment_id, account_id)
);
select protect_table('erasures');
grant update (stage, done), delete on erasures to quotastack_ledger;

-- The id and the salt change by an erasure only.
grant update (end_user_id, salt, erased_at) on accounts to quotastack_ledger;
create function refuse_account_change() returns trigger language plpgsql as $$
begin
    if old.erased_at is null and new.erased_at is not null and new.end_user_id like 'erased\_%' and exists (
        select from erasures x where x.environment_id = old.environment_id and x.account_id = old.account_id)
    then
        return new;
    end if;
    raise exception 'an end user keeps its id and its salt until it is erased'
        using errcode = 'integrity_constraint_violation';
end
$$;
create trigger accounts_keep_id before update of end_user_id, salt, erased_at on accounts
    for each row execute function refuse_account_change();

-- An entry loses the text that can name a person while its account is being erased, and nothing else of it ever
-- changes. No jsonb has the character NUL, which an attribute may have.
drop trigger entries_append_only on entries;
create trigger entries_append_only before delete or truncate on entries
    for each statement execute function refuse_ledger_change();
create function refuse_entry_change() returns trigger language plpgsql as $$
declare
    kept entries := new;
    details jsonb := replace(old.details, '\u0000', '\ufffd')::jsonb;
    new_details jsonb := replace(new.details, '\u0000', '\ufffd')::jsonb;
    other text := new_details ->> 'counterparty';
begin
    kept.idempotency_key := old.idempotency_key;
    kept.reason := old.reason;
    kept.metadata := old.metadata;
    kept.details := old.details;
    kept.personal_digest := old.personal_digest;
    if kept is not distinct from old then
        if old.personal_digest is null and new.personal_digest is not null and new.idempotency_key is null
            and new.reason is null and new.metadata is null
            and coalesce(new_details, '{}') = coalesce(details, '{}') - 'attributes'
            and exists (
                select from erasures x
                where x.environment_id = old.environment_id and x.account_id = old.account_id)
        then
            return new;
        end if;
        kept.details := new.details;
        -- A transfer of version 1 names the other end user, who was erased.
        if kept is not distinct from new and old.version = 1 and details ? 'counterparty'
            and new_details = jsonb_set(details, '{counterparty}', to_jsonb(other)) and exists (
                select from erasures x
                join accounts a using (environment_id, account_id)
                where x.environment_id = old.environment_id and x.end_user_id = details ->> 'counterparty'
                    and a.end_user_id = other)
        then
            return new;
        end if;
    end if;
    raise exception 'the ledger is append-only: % on % is refused', tg_op, tg_table_name
        using errcode = 'integrity_constraint_violation';
end
$$;
create trigger entries_lose_text_only before update on entries
    for each row execute function refuse_entry_change();
grant update (idempotency_key, reason, metadata, details, personal_digest) on entries to quotastack_ledger;

-- Transfers of version 1, by the id of the other end user.
create index entries_transfers_of_version_1 on entries (environment_id, (details::json ->> 'counterparty'))
    where version = 1 and type = 'transfer';

-- The answer to a command is removed with its end user. `receiver_account_id` is the other account that the answer to a
-- transfer names.
alter table commands
    add column receiver_account_id bigint,
    drop constraint commands_have_an_answer,
    add constraint commands_have_one_answer check (sequence is null or response is null);
create index commands_answered on commands (account_id) where response is not null;
create index commands_received on commands (receiver_account_id) where receiver_account_id is not null;
create function refuse_command_change() returns trigger language plpgsql as $$
begin
    if new.response is null and new.fingerprint is null and exists (
        select from erasures x
        where x.environment_id = old.environment_id and x.account_id in (old.account_id, old.receiver_account_id))
    then
        return new;
    end if;
    raise exception 'a decided command changes only when its end user is erased'
        using errcode = 'integrity_constraint_violation';
end
$$;
create trigger commands_lose_answer_only before update of response, fingerprint on commands
    for each row execute function refuse_command_change();
grant update (response, fingerprint) on commands to quotastack_ledger;

-- An erasure removes the text of payments, blocks and reservations too.
create function refuse_text_change() returns trigger language plpgsql as $$
begin
    if exists (
        select from erasures x where x.environment_id = old.environment_id and x.account_id = old.account_id)
    then
        return new;
    end if;
    raise exception 'a text of % changes only when its end user is erased', tg_table_name
        using errcode = 'integrity_constraint_violation';
end
$$;
create trigger payments_lose_answer_only before update on payments
    for each row execute function refuse_text_change();
create trigger blocks_lose_text_only before update of reason, metadata on blocks
    for each row execute function refuse_text_change();
create trigger reservations_lose_text_only before update of estimate, metadata on reservations
    for each row execute function refuse_text_change();
grant update (response, fingerprint) on payments to quotastack_ledger;
grant update (reason, metadata) on blocks to quotastack_ledger;
grant update (estimate, metadata) on reservations to quotastack_ledger;
grant select on parked_commands to quotastack_ledger;
grant update (error, message) on parked_commands to quotastack_ledger;

-- The transfers of before. Only the ledger's role sees the rows.
grant update (receiver_account_id) on commands to quotastack_ledger;
set local role quotastack_ledger;
update commands c set receiver_account_id = a.account_id
from accounts a
where c.action = 'credits.transfer' and c.status = 201 and a.environment_id = c.environment_id
    and a.end_user_id = convert_from(c.response, 'UTF8')::json ->> 'to_end_user_id';
reset role;
revoke update (receiver_account_id) on commands from quotastack_ledger;
