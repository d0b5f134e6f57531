#!/bin/sh -e
# Makes the certificates beside this file anew, in the folder that is given. Needs OpenSSL 3.
cd "$1"
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
touch "$w/index"
cat > "$w/config" <<END
[ca]
default_ca = here
[here]
database = $w/index
new_certs_dir = $w
rand_serial = yes
unique_subject = no
policy = any
default_startdate = 20200101000000Z
default_enddate = 21200101000000Z
x509_extensions = server
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[server]
basicConstraints = critical,CA:FALSE
subjectAltName = DNS:a.example
[authority]
basicConstraints = critical,CA:TRUE
END

# root NAME GENPKEY-OPTIONS...
root() {
    name=$1; shift
    openssl genpkey "$@" -out "$w/$name" 2> "$w/log"
    openssl req -new -config "$w/config" -key "$w/$name" -subj "/CN=$name" -out "$w/request"
    openssl ca -batch -config "$w/config" -selfsign -keyfile "$w/$name" -md "${md:-default}" -in "$w/request" \
        -extensions authority -notext -out "$w/$name.pem" 2> "$w/log"
}

# server NAME ROOT HASH SIGNING-OPTIONS...: a certificate of that root with the root behind it
server() {
    name=$1 root=$2 hash=$3; shift 3
    openssl ca -batch -config "$w/config" -cert "$w/$root.pem" -keyfile "$w/$root" -md "$hash" "$@" \
        -in "$w/server" -notext -out "$w/out" 2> "$w/log"
    cat "$w/out" "$w/$root.pem" > "$name.pem"
}

ec() { root "$1" -algorithm EC -pkeyopt ec_paramgen_curve:"$2"; }
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$w/key"
openssl req -new -config "$w/config" -key "$w/key" -subj /CN=server -out "$w/server"

ec p256 P-256
ec p384 P-384
ec p521 P-521
ec secp256k1 secp256k1
ec brainpool brainpoolP256r1
root rsa -algorithm RSA -pkeyopt rsa_keygen_bits:2048
root rsa1024 -algorithm RSA -pkeyopt rsa_keygen_bits:1024
root pss -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048
root pss256 -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha256 \
    -pkeyopt rsa_pss_keygen_mgf1_md:sha256 -pkeyopt rsa_pss_keygen_saltlen:32
md=null root ed448 -algorithm ed448

server p521-sha512 p521 sha512
server p256-sha512 p256 sha512
server p384-sha512 p384 sha512
server secp256k1 secp256k1 sha256
server pss-largest-salt rsa sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max
server pss-salt-20 rsa sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:20
server pss-key pss sha512 -sigopt rsa_pss_saltlen:17
server pss-key-of-sha256 pss256 sha256 -sigopt rsa_pss_saltlen:32
server pss-other-mask rsa sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_mgf1_md:sha1 -sigopt rsa_pss_saltlen:32
server sha224 p256 sha224
server sha3 rsa sha3-256
server brainpool brainpool sha256
server rsa-1024 rsa1024 sha256
server ed448 ed448 null

# A server whose own key is for RSASSA-PSS alone, with that key.
openssl req -new -config "$w/config" -key "$w/pss" -subj /CN=server -out "$w/server"
server own-pss-key p256 sha256
openssl pkey -in "$w/pss" >> own-pss-key.pem

# Servers whose own keys cannot be verified.
for key in ed448 rsa1024; do
    openssl req -new -config "$w/config" -key "$w/$key" -subj /CN=server -out "$w/server"
    server "own-$key-key" p256 sha256
done

# An old device's: of X.509 version 1, which only OpenSSL before 3.2 makes like this, and self-signed; with its key.
openssl req -new -config "$w/config" -key "$w/key" -subj /CN=old -out "$w/request"
openssl x509 -req -in "$w/request" -signkey "$w/key" -days 36500 -out version-1.pem 2> "$w/log"
openssl pkey -in "$w/key" >> version-1.pem
