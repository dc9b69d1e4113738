# shellcheck shell=bash
# A private RabbitMQ node on loopback. Its files are in $servers/rabbitmq. A user of its own runs it when root starts
# it. It has a node name, a cookie, a distribution port and an epmd of its own, so it has no contact with another node
# on the machine.

# shellcheck source-path=SCRIPTDIR
. "$checkout/ops/lib/tls.sh"

rabbitmq_programs=/usr/lib/rabbitmq/bin

# rabbitmq_start PROFILE: starts the node. `up` accepts no messages when less than 2 GB of disk are free, `test` when
# less than 50 MB are free. `test` also accepts TLS, on a second port, with a certificate of ops/lib/tls.sh.
rabbitmq_start() {
    local folder=$servers/rabbitmq user
    if is_running rabbitmq; then return 0; fi
    user=$(user_of rabbitmq)
    choose_port amqp-port 22000
    choose_port distribution-port 24000
    if [ -n "$(recall epmd-port)" ]; then epmd_ends || true; fi # a killed node leaves its epmd behind
    choose_port epmd-port 26000
    own "$user" "$folder"
    if [ "$1" = test ]; then
        choose_port amqps-port 18000
        tls_give "$user" "$folder"
    fi
    secret erlang-cookie | rabbitmq_file .erlang.cookie
    rabbitmq_definitions | rabbitmq_file definitions.json
    echo '[].' | rabbitmq_file enabled_plugins
    echo '[].' | rabbitmq_file advanced.config
    rabbitmq_file rabbitmq-env.conf </dev/null
    rabbitmq_configuration "$1" | rabbitmq_file rabbitmq.conf
    # The files above replace the machine's files in /etc/rabbitmq. RUNNING_UNDER_SYSTEMD makes the launcher become the
    # node instead of staying its parent, so that the stored process id is the id of the node.
    cd "$folder"
    spawn rabbitmq "$user" env -i PATH="$PATH" LANG=C.UTF-8 HOME="$folder" RUNNING_UNDER_SYSTEMD=true \
        ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$(recall epmd-port)" ERL_CRASH_DUMP="$folder/erl_crash.dump" \
        RABBITMQ_NODENAME=quotastack@localhost \
        RABBITMQ_DIST_PORT="$(recall distribution-port)" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
        RABBITMQ_CONF_ENV_FILE="$folder/rabbitmq-env.conf" \
        RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" \
        RABBITMQ_ADVANCED_CONFIG_FILE="$folder/advanced.config" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins" \
        RABBITMQ_MNESIA_BASE="$folder/data" \
        RABBITMQ_LOG_BASE="$folder/log" \
        RABBITMQ_GENERATED_CONFIG_DIR="$folder/generated" \
        RABBITMQ_PID_FILE="$folder/pid" \
        "$rabbitmq_programs/rabbitmq-server"
    cd "$checkout"
}

rabbitmq_configuration() { # PROFILE
    local disk_free_limit=2GB
    if [ "$1" = test ]; then disk_free_limit=50MB; fi
    cat <<CONFIGURATION
listeners.tcp.1 = 127.0.0.1:$(recall amqp-port)
load_definitions = $servers/rabbitmq/definitions.json
disk_free_limit.absolute = $disk_free_limit
vm_memory_high_watermark.relative = 0.25
log.console = true
log.console.level = info
log.console.use_colors = off
log.file = false
CONFIGURATION
    if [ "$1" = test ]; then
        cat <<CONFIGURATION
listeners.ssl.1 = 127.0.0.1:$(recall amqps-port)
ssl_options.cacertfile = $servers/rabbitmq/authority.pem
ssl_options.certfile = $servers/rabbitmq/server.pem
ssl_options.keyfile = $servers/rabbitmq/server.key
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
CONFIGURATION
    fi
}

rabbitmq_file() {
    rm -f "$servers/rabbitmq/$1"
    own_file "$(user_of rabbitmq)" "$servers/rabbitmq/$1"
}

# One virtual host and one user, which the node loads before it listens. A node with definitions creates no user
# `guest`.
rabbitmq_definitions() {
    local salt
    salt=$(secret amqp-salt | cut -c 1-4)
    cat <<DEFINITIONS
{
  "vhosts": [{"name": "quotastack"}],
  "users": [{
    "name": "quotastack",
    "password_hash": "$({
        printf '%s' "$salt"
        printf '%s%s' "$salt" "$(secret amqp-password)" | openssl dgst -sha256 -binary
    } | base64)",
    "hashing_algorithm": "rabbit_password_hashing_sha256",
    "tags": []
  }],
  "permissions": [{"user": "quotastack", "vhost": "quotastack", "configure": ".*", "write": ".*", "read": ".*"}]
}
DEFINITIONS
}

rabbitmq_url() {
    printf 'amqp://quotastack:%s@127.0.0.1:%s/quotastack\n' "$(secret amqp-password)" "$(recall amqp-port)"
}

# A URL with which the client verifies the certificate of the private test broker.
rabbitmq_tls_url() {
    printf 'amqps://quotastack:%s@localhost:%s/quotastack?cacertfile=%s\n' "$(secret amqp-password)" \
        "$(recall amqps-port)" "$home/tls/authority.pem"
}

# The node listens when it has booted and loaded its definitions.
rabbitmq_wait() { wait_until_ready rabbitmq 120 rabbitmq_listens; }
rabbitmq_listens() { ! port_is_free "$(recall amqp-port)"; }

# The node starts its own epmd and leaves it running. epmd ends on request when no node is registered with it.
rabbitmq_stop() {
    wait_until 30 succeeds_or_ended rabbitmq rabbitmq_listens || true # a booting node ignores the signal
    stop rabbitmq TERM
    if [ -n "$(recall epmd-port)" ] && ! wait_until 10 epmd_ends; then
        echo "the epmd of the private RabbitMQ did not end and is still running" >&2
    fi
}
epmd_ends() {
    local port
    port=$(recall epmd-port)
    if port_is_free "$port"; then return 0; fi
    ERL_EPMD_ADDRESS=127.0.0.1 epmd -port "$port" -kill >/dev/null 2>&1 || true
    port_is_free "$port"
}
