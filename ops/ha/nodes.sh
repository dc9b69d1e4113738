# shellcheck shell=bash
# QuotaStack's own processes in a highly available installation: two of each, and a balancer before the API nodes.

# node_roles: the executables, without their common beginning.
node_roles=(ledger scheduler webhooks api entitlements)

# node_start PROGRAMS ROLE NUMBER: starts a process as a user of its own, with its secrets in files that only this user can
# read.
node_start() {
    local name=$2$3 folder=$servers/$2$3 user environment=() port
    if is_running "$name"; then return 0; fi
    user=$(user_of "$name")
    own "$user" "$folder"
    for program in quotastack "quotastack-$2"; do
        cp "$1/$program" "$folder/$program"
        chmod 755 "$folder/$program"
        give "$user" "$folder/$program"
    done
    choose_port "$name-port" 30000
    port=$(recall "$name-port")
    server_environment "$folder/quotastack" "$user" "$folder"
    spawn "$name" "$user" env -i "${environment[@]}" QUOTASTACK_PORT="$port" "$folder/quotastack-$2"
}

node_is_ready() { # NAME
    [ "$(curl -s -m 3 -o "$home/log/readyz" -w '%{http_code}' "http://127.0.0.1:$(recall "$1-port")/readyz")" = 200 ]
}

nodes_start() { # PROGRAMS
    local role number
    [ -n "$(recall root-key)" ] || remember root-key "$("$1/quotastack" key root)"
    QUOTASTACK_ROOT_KEY=$(recall root-key)
    QUOTASTACK_WEBHOOK_KEY=$(secret webhook-key)
    DATABASE_URL=$(proxied_database_url)
    AMQP_URL=$(proxied_amqp_url)
    export QUOTASTACK_ROOT_KEY QUOTASTACK_WEBHOOK_KEY DATABASE_URL AMQP_URL
    for role in "${node_roles[@]}"; do
        for number in 1 2; do node_start "$1" "$role" "$number"; done
    done
    for role in "${node_roles[@]}"; do
        for number in 1 2; do wait_until_ready "$role$number" 60 node_is_ready "$role$number"; done
    done
}

# node_names: prints the names of all processes and of their balancer.
node_names() {
    local role
    echo balancer
    for role in "${node_roles[@]}"; do printf '%s\n' "${role}1" "${role}2"; done
}

# nodes_stop: stops the API nodes first, so that the workers still apply their last commands.
nodes_stop() {
    local role number
    stop balancer TERM
    for role in api entitlements webhooks scheduler ledger; do
        for number in 1 2; do stop "$role$number" TERM; done
    done
}

# balancer_start PORT: starts an HAProxy that sends checks to every node that can answer them, and everything else to the API
# nodes that are ready for mutations.
balancer_start() {
    local folder=$servers/balancer user
    if is_running balancer; then return 0; fi
    port_is_free "$1" || die "another program uses port $1; choose another port with QUOTASTACK_PORT"
    remember balancer-port "$1"
    user=$(user_of balancer)
    own "$user" "$folder"
    fill balancer.cfg BALANCER_ADDRESS=127.0.0.1 BALANCER_PORT="$1" \
        API_1="127.0.0.1:$(recall api1-port)" API_2="127.0.0.1:$(recall api2-port)" \
        ENTITLEMENTS_1="127.0.0.1:$(recall entitlements1-port)" \
        ENTITLEMENTS_2="127.0.0.1:$(recall entitlements2-port)" | own_file "$user" "$folder/balancer.cfg"
    spawn balancer "$user" env -i PATH="$PATH" LANG=C.UTF-8 haproxy -db -f "$folder/balancer.cfg"
}

# write_environment: writes the addresses, which `. FOLDER/env` reads.
write_environment() {
    (
        umask 077
        {
            printf 'DATABASE_URL=%q\nAMQP_URL=%q\n' "$(proxied_database_url)" "$(proxied_amqp_url)"
            printf 'QUOTASTACK_HA_DIRECT_DATABASE_URL=%q\nQUOTASTACK_HA_DIRECT_AMQP_URL=%q\n' \
                "$(direct_database_url)" "$(direct_amqp_url)"
            printf 'QUOTASTACK_HA_BOOKS_URL=%q\n' "$(superuser_url quotastack)"
            echo "export DATABASE_URL AMQP_URL QUOTASTACK_HA_DIRECT_DATABASE_URL QUOTASTACK_HA_DIRECT_AMQP_URL" \
                "QUOTASTACK_HA_BOOKS_URL"
            if [ -n "$(recall balancer-port)" ]; then
                printf 'QUOTASTACK_URL=http://127.0.0.1:%q\nQUOTASTACK_ROOT_KEY=%q\n' "$(recall balancer-port)" \
                    "$(recall root-key)"
                echo "export QUOTASTACK_URL QUOTASTACK_ROOT_KEY"
            fi
        } >"$home/env.new"
        mv -f "$home/env.new" "$home/env"
    )
}
