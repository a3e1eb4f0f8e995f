#!/usr/bin/env bash
# Makes the certificates beside this file anew, by openssl 3.0: for each kind of key an authority and a
# certificate that it signed. The keys protect nothing: they are for tests only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
names='subjectAltName=DNS:localhost,IP:127.0.0.1'

# new_key KIND FILE
new_key() {
    case $1 in
    rsa*) openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:${1#rsa}" -out "$2" ;;
    p*) openssl genpkey -quiet -algorithm EC -pkeyopt "ec_paramgen_curve:P-${1#p}" -out "$2" ;;
    ed25519) openssl genpkey -quiet -algorithm ED25519 -out "$2" ;;
    esac
}

# authority NAME KIND
authority() {
    new_key "$2" "$work/$1.key"
    openssl req -x509 -new -key "$work/$1.key" -days 36500 -subj "/O=pandad tests/CN=$1" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out "$1.pem"
}

# certificate NAME KIND AUTHORITY HASH FROM TO EXTENSIONS [OPTION…]: FROM and TO as 20200101000000Z
certificate() {
    new_key "$2" "$1.key"
    openssl req -new -key "$1.key" -subj "/O=pandad tests/CN=$1" -out "$work/$1.csr"
    printf '%b' "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n$7\n" >"$work/extensions"
    : >"$work/index"
    cat >"$work/ca.cnf" <<EOF
[ca]
default_ca = tests
[tests]
database = $work/index
new_certs_dir = $work
rand_serial = yes
policy = any
[any]
organizationName = optional
commonName = supplied
EOF
    openssl ca -batch -notext -config "$work/ca.cnf" -cert "$3.pem" -keyfile "$work/$3.key" -md "$4" \
        -startdate "$5" -enddate "$6" -extfile "$work/extensions" -in "$work/$1.csr" -out "$1.pem" "${@:8}" \
        2>/dev/null
}

always=(20200101000000Z 21200101000000Z)
for kind in rsa2048:sha256 rsa4096:sha512 p256:sha256 p384:sha384 p521:sha512 ed25519:default; do
    authority "ca-${kind%:*}" "${kind%:*}"
    certificate "${kind%:*}" "${kind%:*}" "ca-${kind%:*}" "${kind#*:}" "${always[@]}" "$names"
done

# Signed with another hash than the curve's own, and with another padding.
certificate by-p256-sha512 p256 ca-p256 sha512 "${always[@]}" "$names"
certificate by-p384-sha256 p256 ca-p384 sha256 "${always[@]}" "$names"
certificate by-p521-sha256 p256 ca-p521 sha256 "${always[@]}" "$names"
certificate by-rsa-pss p256 ca-rsa2048 sha384 "${always[@]}" "$names" \
    -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest

# A key that is too short.
certificate rsa1024 rsa1024 ca-p256 sha256 "${always[@]}" "$names"

# What old clusters have, each refused for one reason: out of date, made out to nobody, and of version 1,
# which openssl makes without extensions.
authority ca-odd p256
certificate expired p256 ca-odd sha256 20200101000000Z 20210101000000Z "$names"
certificate future p256 ca-odd sha256 21000101000000Z 21200101000000Z "$names"
certificate nameless p256 ca-odd sha256 "${always[@]}" ""
for kind in p256 rsa2048; do
    new_key "$kind" "v1-$kind.key"
    openssl req -new -key "v1-$kind.key" -subj "/O=pandad tests/CN=localhost" -out "$work/v1.csr"
    openssl x509 -req -in "$work/v1.csr" -CA ca-odd.pem -CAkey "$work/ca-odd.key" -CAserial "$work/serial" \
        -CAcreateserial -days 36500 -out "v1-$kind.pem" 2>/dev/null
done

# The older forms of the same keys, with the heads that openssl 1 wrote.
openssl rsa -in rsa2048.key -traditional -out rsa2048-pkcs1.key 2>/dev/null
for curve in p256 p384 p521; do openssl ec -in "$curve.key" -out "$curve-sec1.key" 2>/dev/null; done
openssl pkcs8 -topk8 -in p256.key -passout pass:secret -out p256-encrypted.key
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out secp256k1.key
openssl genpkey -quiet -algorithm X25519 -out x25519.key
chmod 644 ./*.key

# What a broker or a Redis server takes: its key store, and the authority that its clients must have.
openssl pkcs12 -export -in rsa2048.pem -inkey rsa2048.key -name broker -passout pass:changeit -out rsa2048.p12
rm -f ca-rsa2048.p12
keytool -importcert -noprompt -alias ca -file ca-rsa2048.pem -keystore ca-rsa2048.p12 -storetype PKCS12 \
    -storepass changeit 2>/dev/null
chmod 644 ./*.p12
