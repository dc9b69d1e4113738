# shellcheck shell=bash
# The QuotaStack process, and calls to it.

server_url() {
    local address=${QUOTASTACK_HOST:-127.0.0.1}
    case $address in
        0.0.0.0 | ::) address=127.0.0.1 ;;
        *:*) address="[$address]" ;;
    esac
    printf 'http://%s:%s\n' "$address" "$1"
}

# server_start BINARY PORT: starts the server on the port, as a user of its own when root starts it. The user may be
# unable to enter the checkout, so it gets a copy of the binary then.
server_start() {
    local binary=$1 folder=$servers/quotastack user environment=()
    user=$(user_of quotastack)
    own "$user" "$folder"
    if ! as "$user" test -x "$binary"; then
        cp "$binary" "$folder/quotastack"
        chmod 755 "$folder/quotastack"
        binary=$folder/quotastack
        give "$user" "$binary"
    fi
    server_environment "$1" "$user" "$folder"
    as "$user" env -i "${environment[@]}" "$binary" --help >/dev/null ||
        die "the user of the server cannot run $binary; make the Swift libraries readable for all users"
    remember server-port "$2"
    spawn quotastack "$user" env -i "${environment[@]}" QUOTASTACK_PORT="$2" "$binary" up
}

# server_environment BINARY USER FOLDER: sets `environment` to the variables of the server: the settings of the caller, and
# nothing else of the caller's environment. Secrets, and files that the settings name, are copied to the folder, which
# only the server's user can read. So neither /proc nor a command line shows a secret.
server_environment() {
    local settings name file
    settings=$("$1" config)
    environment=(HOME="$3" LANG=C.UTF-8)
    for name in LD_LIBRARY_PATH SWIFT_BACKTRACE QUOTASTACK_CONFIG $(sed -n '/^[A-Z]/p' <<<"$settings"); do
        file=${name}_FILE
        if grep -q "^    A secret: $file " <<<"$settings"; then
            if [ -n "${!name:-}" ]; then printf '%s' "${!name}"; else cat "${!file:-/dev/null}"; fi |
                own_file "$2" "$3/$name"
            if [ -s "$3/$name" ]; then environment+=("$file=$3/$name"); fi
        elif [ -n "${!name:-}" ]; then
            case $name in
                QUOTASTACK_PORT) ;;
                QUOTASTACK_CONFIG | QUOTASTACK_TLS_*)
                    own_file "$2" "$3/$name" <"${!name}"
                    environment+=("$name=$3/$name")
                    ;;
                *) environment+=("$name=${!name}") ;;
            esac
        fi
    done
}

# server_wait URL: waits until every part of the server is ready. The latest answer of /readyz is kept in the log
# folder.
server_wait() { wait_until_ready quotastack 60 server_answers_ready "$1"; }
server_answers_ready() { [ "$(curl -s -m 2 -o "$home/log/readyz" -w '%{http_code}' "$1/readyz")" = 200 ]; }

server_stop() { stop quotastack TERM; }

# call KEY METHOD PATH [BODY]: prints the answer's body, and exits unless its status is 2xx. curl reads the key from a
# descriptor, because every user of the machine can read command lines. The idempotency key makes a repetition of a
# first run harmless.
call() {
    local key=$1 method=$2 path=$3 body=(${4:+--json "$4"}) repetition status
    repetition=first-run-$(secret first-run)-${path##*/}
    status=$(curl -s -m 15 -X "$method" -H @<(printf 'Authorization: Bearer %s\n' "$key") \
        -H "Idempotency-Key: $repetition" "${body[@]}" -o "$home/log/answer" -w '%{http_code}' "$QUOTASTACK_URL$path") ||
        status="no answer"
    case $status in
        2??) cat "$home/log/answer" ;;
        *) die "$method $path: $status $(cat "$home/log/answer" 2>/dev/null)" ;;
    esac
}

# show METHOD PATH [BODY]: prints the call as a user types it after `. .quotastack/env`, and the answer.
show() {
    local answer
    printf '\n$ curl'
    if [ "$1" != GET ] && [ -z "${3:-}" ]; then printf ' -X %s' "$1"; fi
    # shellcheck disable=SC2016 # the variables are for the reader
    printf ' "$QUOTASTACK_URL%s" -H "Authorization: Bearer $QUOTASTACK_TEST_KEY"' "$2"
    if [ -n "${3:-}" ]; then printf " --json '%s'" "$3"; fi
    printf '\n'
    answer=$(call "$QUOTASTACK_TEST_KEY" "$@")
    jq . <<<"$answer"
}
