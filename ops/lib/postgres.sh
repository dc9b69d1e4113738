# shellcheck shell=bash
# A private PostgreSQL on loopback. Its files are in $servers/postgres. A user of its own runs it when root starts it.

# shellcheck source-path=SCRIPTDIR
. "$checkout/ops/lib/tls.sh"

postgres_programs=/usr/lib/postgresql/15/bin
postgres_superuser=postgres

# postgres_start PROFILE: starts the server. `up` is for a lasting installation; `test` allows many connections and
# replication slots at once, and also accepts TLS on the same port, with a certificate of ops/lib/tls.sh.
postgres_start() {
    local folder=$servers/postgres user
    if is_running postgres; then return 0; fi
    user=$(user_of postgres)
    own "$user" "$folder"
    if [ ! -d "$folder/data" ]; then postgres_create "$folder" "$1" "$user"; fi
    postgres_forget_zombie "$folder/data/postmaster.pid" "$user"
    choose_port postgres-port 20000
    if [ "$1" = test ]; then
        tls_give "$user" "$folder"
        postgres_test_logins | own_file "$user" "$folder/pg_hba.conf"
    fi
    postgres_settings "$1" | own_file "$user" "$folder/postgresql.conf"
    cd "$folder"
    spawn postgres "$user" env -i PATH="$PATH" LANG=C.UTF-8 \
        "$postgres_programs/postgres" -D "$folder/data" -c "config_file=$folder/postgresql.conf"
    cd "$checkout"
}

# postgres_create FOLDER PROFILE USER: creates the data folder. It gets its final name when it is complete, so that a
# start after an interrupted one creates it again. initdb refuses a user without a name, so the user postgres of the
# Debian package runs it in a folder apart; the server itself runs without a name. Nothing of the installation is in the
# data folder yet.
postgres_create() {
    local new=$servers/postgres.new sync=()
    if [ "$2" = test ]; then sync=(--no-sync); fi
    rm -rf "$new"
    own postgres "$new"
    secret postgres-password | own_file postgres "$new/password"
    (cd "$new" && as postgres env -i PATH="$PATH" LANG=C.UTF-8 "$postgres_programs/initdb" \
        --pgdata="$new/data" --username="$postgres_superuser" --pwfile="$new/password" \
        --auth=scram-sha-256 --data-checksums --encoding=UTF8 --locale=C.UTF-8 --lc-collate=C "${sync[@]}") \
        >"$home/log/initdb.log" 2>&1 || die "initdb failed: see $home/log/initdb.log"
    if am_root; then give "$3" "$new/data"; fi
    mv "$new/data" "$1/data"
    rm -rf "$new"
}

# A killed server stays a zombie where process 1 does not reap, as in many containers, and PostgreSQL takes the zombie
# for a running server. So its lock file gets an id that no process can have. The file itself stays, because PostgreSQL
# also learns from it whether backends are still running.
postgres_forget_zombie() { # FILE USER
    if [ -e "$1" ] && [ -z "$(start_time "$(head -n 1 "$1")")" ]; then as "$2" sed -i '1s/.*/2147483647/' "$1"; fi
}

# The settings are written at every start, so that a new version of this file also changes an existing server. There is
# no Unix socket: its path could be too long in a deep checkout, and every client has a URL.
postgres_settings() {
    cat <<SETTINGS
ident_file = '$servers/postgres/data/pg_ident.conf'
listen_addresses = '127.0.0.1'
port = $(recall postgres-port)
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
synchronous_commit = on
wal_level = logical
max_slot_wal_keep_size = 4GB
SETTINGS
    case $1 in
        up)
            cat <<SETTINGS
hba_file = '$servers/postgres/data/pg_hba.conf'
shared_buffers = $(quarter_of_memory_up_to 1024)MB
max_wal_size = 4GB
max_replication_slots = 16
max_wal_senders = 16
SETTINGS
            ;;
        test)
            cat <<SETTINGS
hba_file = '$servers/postgres/pg_hba.conf'
ssl = on
ssl_ca_file = '$servers/postgres/authority.pem'
ssl_cert_file = '$servers/postgres/server.pem'
ssl_key_file = '$servers/postgres/server.key'
shared_buffers = $(quarter_of_memory_up_to 256)MB
max_wal_size = 2GB
max_connections = 600
max_replication_slots = 64
max_wal_senders = 64
SETTINGS
            ;;
    esac
}

# The user `certified` needs a certificate in addition to the password.
postgres_test_logins() {
    cat <<LOGINS
hostssl all certified 127.0.0.1/32 scram-sha-256 clientcert=verify-full
host all certified 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
LOGINS
}

quarter_of_memory_up_to() {
    awk -v most="$1" '$1 == "MemTotal:" { share = int($2 / 1024 / 4); print share < most ? share : most }' /proc/meminfo
}

postgres_url() { # USER PASSWORD DATABASE
    printf 'postgres://%s:%s@127.0.0.1:%s/%s\n' "$1" "$2" "$(recall postgres-port)" "$3"
}

postgres_superuser_url() { postgres_url "$postgres_superuser" "$(secret postgres-password)" postgres; }

# A URL with which the client verifies the certificate of the private test server.
postgres_tls_url() {
    printf 'postgres://%s:%s@localhost:%s/postgres?sslmode=verify-full&sslrootcert=%s\n' "$postgres_superuser" \
        "$(secret postgres-password)" "$(recall postgres-port)" "$home/tls/authority.pem"
}

postgres_wait() {
    local port
    port=$(recall postgres-port)
    wait_until_ready postgres 60 \
        "$postgres_programs/pg_isready" --quiet --host=127.0.0.1 --port="$port" --dbname=postgres
}

# postgres_create_database: creates the database `quotastack` and its owner. The owner creates the roles of the
# processes (CREATEROLE) and reads the write-ahead log (REPLICATION); it is not a superuser. Repeating it changes
# nothing. The statements go through standard input, because every user of the machine can read command lines.
postgres_create_database() {
    PGPASSWORD=$(secret postgres-password) PGOPTIONS='--client-min-messages=warning' \
        "$postgres_programs/psql" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
        "postgres://$postgres_superuser@127.0.0.1:$(recall postgres-port)/postgres" <<SQL
SELECT 'CREATE ROLE quotastack LOGIN' WHERE to_regrole('quotastack') IS NULL \gexec
ALTER ROLE quotastack NOSUPERUSER NOCREATEDB CREATEROLE REPLICATION PASSWORD '$(secret database-password)';
SELECT 'CREATE DATABASE quotastack OWNER quotastack'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'quotastack') \gexec
SQL
}

postgres_database_url() { postgres_url quotastack "$(secret database-password)" quotastack; }

postgres_stop() { stop postgres INT; }
