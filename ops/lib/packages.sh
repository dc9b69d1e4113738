# shellcheck shell=bash
# The Debian packages that QuotaStack needs and a fresh Debian 12 lacks. Nothing depends on a minor version: the
# scripts and the tests were tried with PostgreSQL 15.18 and RabbitMQ 3.10.8.

packages_to_build=(binutils ca-certificates git libc6-dev libcmark-gfm-dev libcmark-gfm-extensions-dev libpq-dev
    librabbitmq-dev libstdc++-12-dev pkg-config zlib1g-dev)
packages_to_run=(curl jq openssl postgresql-15 rabbitmq-server)
# shellcheck disable=SC2034 # used by ops/test
packages_to_test=(node-typescript nodejs python3 shellcheck)
# shellcheck disable=SC2034 # used by ops/bench
packages_to_bench=(redis-server redis-tools)

# install_packages NAME...: installs the missing packages. It needs no root rights when none is missing.
install_packages() {
    local missing=() package administrator=()
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing+=("$package")
        fi
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    if ! am_root; then
        command -v sudo >/dev/null ||
            die "packages are missing and there is no sudo; run as root: apt-get install ${missing[*]}"
        administrator=(sudo)
    fi
    say "Installing ${missing[*]}"
    "${administrator[@]}" bash "$checkout/ops/lib/apt-install" "${missing[@]}"
}

# need_swift: exits unless Swift 6.2 or later is on PATH. Swift is not a Debian package, so these scripts do not install
# it.
need_swift() {
    local version
    command -v swift >/dev/null ||
        die "Swift 6.2 or later is needed on PATH: see https://www.swift.org/install/linux/" \
            "(sudo may hide it: sudo env PATH=\"\$PATH\" …)"
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p')
    [ "$(printf '%s\n' 6.2 "$version" | sort -V | head -n 1)" = 6.2 ] ||
        die "Swift 6.2 or later is needed; $(command -v swift) is ${version:-of an unknown version}"
}
