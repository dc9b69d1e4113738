-- Erasing an end user: the hash of an entry covers what can name a person as one salted digest, so that the text and the
-- salt can be removed and the books stay provable.

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
