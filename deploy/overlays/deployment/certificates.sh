#!/bin/sh
# Prints the Secrets of the overlay `deployment`, for clusters without cert-manager:
#
#   sh certificates.sh | kubectl apply -f -
#
# A new CA each time, whose key is forgotten: to renew, run it again and restart both workloads (README).
set -eu

days="${DAYS:-365}"
umask 077
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$days" -subj /CN=isobath-xds-ca \
	-addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.crt 2>openssl.log || { cat openssl.log >&2; exit 1; }

# name of the Secret, DNS name, extended key usage
certificate() {
	{
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" -keyout "$1.key" -out "$1.csr"
		printf 'subjectAltName=DNS:%s\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\nbasicConstraints=critical,CA:false\n' \
			"$2" "$3" >"$1.ext"
		openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" -extfile "$1.ext" -out "$1.crt"
	} 2>openssl.log || { cat openssl.log >&2; exit 1; }
	cat <<EOF
---
apiVersion: v1
kind: Secret
metadata:
  name: $1
  namespace: isobath
type: kubernetes.io/tls
data:
  ca.crt: $(base64 <ca.crt | tr -d '\n')
  tls.crt: $(base64 <"$1.crt" | tr -d '\n')
  tls.key: $(base64 <"$1.key" | tr -d '\n')
EOF
}

certificate isobath-xds-server isobath-xds.isobath.svc serverAuth
certificate isobath-xds-client envoy.isobath.svc clientAuth
