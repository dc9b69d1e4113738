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

# server_user BINARY: prints the user that runs the server. That is `nobody` when root starts it and `nobody` can run
# the binary, which needs the checkout and the Swift libraries. Otherwise it is the caller.
server_user() {
    if am_root && as nobody "$1" --help >/dev/null 2>&1; then echo nobody; else id -un; fi
}

# server_start BINARY PORT: starts the server on the port.
server_start() {
    local user
    user=$(server_user "$1")
    if [ "$user" = root ]; then
        echo "The user nobody cannot run $1, so the server runs as root." \
            "To avoid that, make the checkout readable for all users."
    fi
    remember server-port "$2"
    QUOTASTACK_PORT=$2 spawn quotastack "$user" "$1" up
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
