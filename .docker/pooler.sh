#!/bin/sh
# PgBouncer with the pgbouncer.ini of the folder $1, where it may write down the password: sh pooler.sh FOLDER
set -eu
umask 077
cd "$1"
printf '"kiryana" "%s"\n' "$(printf '%s' "$POSTGRES_PASSWORD" | sed 's/"/""/g')" > userlist.txt
PATH=$PATH:/usr/sbin
exec pgbouncer pgbouncer.ini
