#!/bin/sh
# Fills k8s/secrets.example into a new folder, for a cluster whose store is the overlay's MinIO:
#   sh k8s/new-secrets.sh ~/openmofi-secrets
# With another store, write its own keys into storage.env, mlflow.env and reader.env afterwards.
set -eu
umask 077
examples=$(dirname "$0")/secrets.example
mkdir "$1" # a folder that is there is kept as it is
for example in "$examples"/*.env; do
  name=$(basename "$example" .env)
  while IFS= read -r line; do
    case $line in
      \#*) ;;
      AWS_ACCESS_KEY_ID= | MINIO_ROOT_USER=) echo "${line}openmofi-$name" ;;
      *=) echo "$line$(openssl rand -hex 24)" ;;
    esac
  done < "$example" > "$1/$name.env"
done
