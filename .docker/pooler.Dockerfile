FROM debian:13-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends pgbouncer \
    && rm -rf /var/lib/apt/lists/*
COPY pgbouncer.ini pooler.sh /srv/pooler/
RUN chown nobody /srv/pooler

USER nobody
EXPOSE 6432
CMD ["sh", "/srv/pooler/pooler.sh", "/srv/pooler"]
