"""All settings in one place. What differs between machines is an environment variable (see .env.example)."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

BASE_DIR = Path(__file__).resolve().parent.parent


def flag(name: str, default: bool = False) -> bool:
    """The environment variable `name` as a boolean; anything but 1/0, true/false, yes/no, on/off is refused."""
    value = os.environ.get(name, "").strip().lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    if value:
        raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")
    return default


def whole(name: str, default: int) -> int:
    """The environment variable `name` as a whole number of at least 0."""
    value = os.environ.get(name, "").strip() or str(default)
    if not (value.isascii() and value.isdigit()):
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.")
    return int(value)


def words(name: str) -> list[str]:
    """The environment variable `name` as a list, separated by commas."""
    return [word.strip() for word in os.environ.get(name, "").split(",") if word.strip()]


PRODUCTION = flag("PRODUCTION")
DEBUG = flag("DEBUG") and not PRODUCTION
KIRYANA_HOME = Path(os.environ.get("KIRYANA_HOME") or BASE_DIR / "var").resolve()


def secret_key() -> str:
    """SECRET_KEY from the environment, else from the file that bin/up made, else a fixed one for tests only."""
    if key := os.environ.get("SECRET_KEY"):
        if PRODUCTION and len(key) < 50:
            raise ImproperlyConfigured(
                "SECRET_KEY is too short for production: use at least 50 random characters."
            )
        return key
    if PRODUCTION:
        raise ImproperlyConfigured("PRODUCTION=1 needs SECRET_KEY: set it to at least 50 random characters.")
    file = KIRYANA_HOME / "secret_key"
    return file.read_text().strip() if file.is_file() else "insecure-and-only-for-tests-on-this-machine"


SECRET_KEY = secret_key()
SECRET_KEY_FALLBACKS = words("SECRET_KEY_FALLBACKS")
ALLOWED_HOSTS = words("ALLOWED_HOSTS") or (
    [] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]", "testserver"]
)
CSRF_TRUSTED_ORIGINS = words("CSRF_TRUSTED_ORIGINS")
if PRODUCTION and not ALLOWED_HOSTS:
    raise ImproperlyConfigured(
        "PRODUCTION=1 needs ALLOWED_HOSTS: set it to the names this site is reached by."
    )

# -- Apps ---------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "kiryana.apps.KiryanaConfig",
    "stores",
    "catalog",
    "inventory",
    "reports",
    "kiryana.apps.KiryanaAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "procrastinate.contrib.django",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "pgtrigger",
    "pghistory",
]

MIDDLEWARE = [
    "kiryana.middleware.RequestId",
    "kiryana.middleware.SecurityHeaders",
    "kiryana.middleware.KnownMethods",
    "kiryana.middleware.SecretInAddress",
    "kiryana.api.errors.ApiEdge",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "kiryana.middleware.Sessions",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "kiryana.middleware.SignedIn",
    "kiryana.middleware.SecondFactor",
    "kiryana.middleware.UserLanguage",
    "kiryana.middleware.Messages",
    "kiryana.middleware.PriceHistory",
]

# Who stands behind a price change is noted where something can change; a page that only reads needs no note on each statement.
PGHISTORY_MIDDLEWARE_METHODS = ("POST", "PUT", "PATCH", "DELETE")

ROOT_URLCONF = "kiryana.urls"
WSGI_APPLICATION = "kiryana.wsgi.application"
FORM_RENDERER = "stores.forms.Renderer"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "stores.access.navigation",
            ],
        },
    }
]

# -- Database -----------------------------------------------------------------------------------------------
# Statements of the web process are limited (kiryana/wsgi.py sets the two variables); commands are not.
STATEMENT_TIMEOUT = os.environ.get("STATEMENT_TIMEOUT", "0")
LOCK_TIMEOUT = os.environ.get("LOCK_TIMEOUT", "0")
IDLE_TIMEOUT = "60s"  # of an open transaction in which nothing happens
# The few statements of a sale that stay prepared look everything up by its key, whatever they are asked: one plan for all of it.
# Left to itself PostgreSQL takes that plan for the dearer one where a statement has lists in it, and makes a new one each time.
PLAN_CACHE_MODE = os.environ.get("PLAN_CACHE_MODE", "auto")
# The web process goes through POOLER_URL where there is one (kiryana/wsgi.py sets POOLED). Commands, jobs and migrations
# need sessions of their own: they never do.
POOLED = flag("POOLED") and bool(os.environ.get("POOLER_URL"))
# From which use on the statements of a sale stay prepared; None where the server of the next one may be another's.
PREPARED_AFTER = 2 if flag("PREPARED_STATEMENTS", default=not POOLED) else None


def database(variable: str, default: str = "") -> dict:
    """Django's settings for the server whose address (any form libpq takes) stands in the environment variable."""
    try:
        given = psycopg.conninfo.conninfo_to_dict(os.environ.get(variable) or default)
    except psycopg.ProgrammingError as error:
        raise ImproperlyConfigured(f"{variable} is not a PostgreSQL address: {error}") from None
    known = {
        "NAME": given.pop("dbname", "kiryana"),
        "USER": given.pop("user", ""),
        "PASSWORD": given.pop("password", ""),
        "HOST": given.pop("host", ""),
        "PORT": given.pop("port", ""),
    }
    return {
        "ENGINE": "kiryana.postgresql",
        **known,
        "OPTIONS": {**given, "prepare_threshold": PREPARED_AFTER},
        # Each thread keeps its connection: connecting anew for a request costs four times the request itself.
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }


def limit(database: dict, **more) -> None:
    """Gives each session of `database` the limits of this process, its way of planning, and what else is named."""
    limits = {
        "statement_timeout": STATEMENT_TIMEOUT,
        "lock_timeout": LOCK_TIMEOUT,
        "idle_in_transaction_session_timeout": IDLE_TIMEOUT,
        "plan_cache_mode": PLAN_CACHE_MODE,
    }
    given = database["OPTIONS"].get("options", "")
    said = [f"-c {name}={value}" for name, value in (limits | more).items()]
    database["OPTIONS"]["options"] = " ".join([given, *said]).strip()


def primary() -> dict:
    """DATABASE_URL, else the embedded cluster of this home; POOLER_URL for a process that is POOLED."""
    if POOLED:
        # Behind a pooler a session ends with its transaction: it can bring no limits (the pooler's own connections have
        # them, .docker/pgbouncer.ini), and no cursor of the server outlives a statement.
        return database("POOLER_URL") | {"DISABLE_SERVER_SIDE_CURSORS": True}
    embedded = ""
    if not os.environ.get("DATABASE_URL"):
        if PRODUCTION:
            raise ImproperlyConfigured(
                "PRODUCTION=1 needs DATABASE_URL: the address of your PostgreSQL server."
            )
        from kiryana.cluster import Cluster

        embedded = Cluster(KIRYANA_HOME).url
    made = database("DATABASE_URL", embedded)
    limit(made)
    return made


DATABASES = {"default": primary() | {"TEST": {"NAME": os.environ.get("TEST_DATABASE") or None}}}
if os.environ.get("REPLICA_URL"):
    DATABASES["replica"] = database("REPLICA_URL") | {"TEST": {"MIRROR": "default"}}
    limit(DATABASES["replica"], default_transaction_read_only="on")
    # One that is away is noticed within seconds, also when its machine is gone without a word.
    DATABASES["replica"]["OPTIONS"] |= {
        "connect_timeout": 2,
        "tcp_user_timeout": 3000,
        "keepalives_idle": 2,
        "keepalives_interval": 1,
        "keepalives_count": 2,
    }
    DATABASE_ROUTERS = ["kiryana.routers.Reports"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- Cache: exact across processes, or the rate limit is not one --------------------------------------------------
if cache_url := os.environ.get("CACHE_URL"):
    SHARED = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": cache_url}
    CACHES = {"default": SHARED, "limits": SHARED}
else:
    CACHES = {
        "default": {"BACKEND": "kiryana.cache.PostgresCache", "LOCATION": "kiryana_cache"},
        "limits": {"BACKEND": "kiryana.cache.RateCounter", "LOCATION": "kiryana_cache"},
    }
RATELIMIT_USE_CACHE = "limits"

# -- People -------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "stores.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
SESSION_ENGINE = "stores.access"
SESSION_COOKIE_AGE = 60 * 60 * 24 * 14
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "kiryana.views.csrf_failure"
# Head office signs in with a second factor: always in production, elsewhere when asked.
ADMIN_REQUIRES_OTP = flag("ADMIN_REQUIRES_OTP", default=PRODUCTION)
OTP_TOTP_ISSUER = "Kiryana"
# Sign-in attempts per address and per user name.
LOGIN_RATE = os.environ.get("LOGIN_RATE", "10/m")
# How many proxies of ours stand in front: that many entries at the end of X-Forwarded-For are believed.
TRUSTED_PROXY_COUNT = whole("TRUSTED_PROXY_COUNT", 0)

# -- Languages ----------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ur", _("Urdu"))]
# The second holds what the Urdu of Django and of the API's libraries lacks.
LOCALE_PATHS = [BASE_DIR / "locale", BASE_DIR / "locale" / "libraries"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# -- Files --------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = KIRYANA_HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

# -- API ----------------------------------------------------------------------------------------------------
API_RATE = os.environ.get("API_RATE", "600/m")
# Wrong keys per address.
API_GUESS_RATE = os.environ.get("API_GUESS_RATE", "30/m")
# The most that is taken at once: bytes of a body, lines of a document, documents of a batch, rows of a page.
API_LIMITS = {"body_bytes": 1024 * 1024, "lines": 500, "documents": 200, "page": 500}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["stores.authentication.keys.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["stores.authentication.keys.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["stores.api.parsers.StrictJSON"],
    "DEFAULT_PAGINATION_CLASS": "kiryana.pagination.KeysetPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "kiryana.api.schema.Schema",
    "EXCEPTION_HANDLER": "kiryana.api.errors.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "URL_FORMAT_OVERRIDE": None,
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Kiryana partner API",
    "VERSION": "1.0.0",
    "DESCRIPTION": "Stock, sales and reports of a chain of grocery stores, for tills, suppliers and apps. Every answer that can"
    " come is described here; v1 only grows.",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "COMPONENT_SPLIT_PATCH": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": ["kiryana.api.schema.complete"],
    "ENABLE_DJANGO_DEPLOY_CHECK": False,
}

# -- Mail ---------------------------------------------------------------------------------------------------


def mail(url: str) -> dict:
    """Django's mail settings for EMAIL_URL: smtp://user:password@host:587 (STARTTLS) or smtps://...:465."""
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ImproperlyConfigured(
            "EMAIL_URL must look like smtp://user:password@host:587 or smtps://...:465."
        )
    tls = parts.scheme == "smtp" and parts.port not in (None, 25)
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or (465 if parts.scheme == "smtps" else 25),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_USE_TLS": tls,
        "EMAIL_TIMEOUT": 20,
    }


if email_url := os.environ.get("EMAIL_URL"):
    globals().update(mail(email_url))
else:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
DEFAULT_FROM_EMAIL = os.environ.get("EMAIL_FROM", "Kiryana <no-reply@localhost>")
# The address of this site, for links in mails.
SITE_URL = os.environ.get("SITE_URL", f"http://127.0.0.1:{whole('PORT', 8000)}").rstrip("/")

# -- Security -----------------------------------------------------------------------------------------------
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
if PRODUCTION:
    SECURE_SSL_REDIRECT = flag("SECURE_SSL_REDIRECT", default=True)
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
    SECURE_HSTS_SECONDS = 60 * 60 * 24 * 365
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    if TRUSTED_PROXY_COUNT:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# -- Logs ---------------------------------------------------------------------------------------------------
# One handler for all, whose lines are JSON without secrets. Its loggers need none of their own, and Django's go without.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "kiryana.logs.Lines"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("LOG_LEVEL", "INFO")},
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        "django.server": {"handlers": [], "propagate": True, "level": "WARNING"},
        # What it says below an error, the access log says too, with more in it.
        "django.request": {"level": "ERROR"},
        "procrastinate": {"level": "WARNING"},
    },
}
# Days for which the requests of each key can be looked up.
API_LOG_DAYS = whole("API_LOG_DAYS", 7)
# Days for which the feed of changes is kept. Partners are promised 30.
CHANGES_DAYS = whole("CHANGES_DAYS", 35)
if CHANGES_DAYS < 31:
    raise ImproperlyConfigured("CHANGES_DAYS must be at least 31: partners may come back after 30 days.")

# -- Jobs ---------------------------------------------------------------------------------------------------
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "tasks"
PROCRASTINATE_IMPORT_PATHS = ["inventory.tasks", "reports.tasks"]
