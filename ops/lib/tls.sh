# shellcheck shell=bash
# Certificates of two private authorities for the tests, in $home/tls. The private servers present the certificate
# `server`, which is valid for localhost and not for 127.0.0.1.

# tls_create: creates the certificates, each with its key in a file beside it. `authority` signs all other certificates,
# and `stranger` is an authority that signs none. `expired` is an expired certificate for localhost, and `client`
# belongs to the user `certified`. The certificates are kept while `client` is valid for another day.
tls_create() {
    local name
    if openssl x509 -checkend 86400 -noout -in "$home/tls/client.pem" >/dev/null 2>&1; then return 0; fi
    (umask 077 && mkdir -p "$home/tls")
    for name in authority stranger; do
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=QuotaStack test $name" -days 30 \
            -keyout "$home/tls/$name.key" -out "$home/tls/$name.pem" 2>"$home/log/openssl.log"
    done
    tls_issue server localhost 30
    tls_issue expired localhost -1
    tls_issue client certified 30
}

# tls_issue FILE NAME DAYS: creates a certificate for a name, signed by `authority`.
tls_issue() {
    local file=$home/tls/$1
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$2" -keyout "$file.key" \
        -out "$file.request" 2>"$home/log/openssl.log"
    openssl x509 -req -in "$file.request" -CA "$home/tls/authority.pem" -CAkey "$home/tls/authority.key" \
        -CAcreateserial -days "$3" -extfile <(printf 'subjectAltName=DNS:%s\n' "$2") -out "$file.pem" \
        2>"$home/log/openssl.log"
    rm "$file.request"
}

# tls_give USER FOLDER: copies the certificates of a server into the folder, readable by the user only.
tls_give() {
    local name
    tls_create
    for name in authority.pem server.pem server.key; do own_file "$1" "$2/$name" <"$home/tls/$name"; done
}
