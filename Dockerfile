# syntax=docker/dockerfile:1
# The people application by default; every other command by name:  docker run --rm -v "$PWD:/data" cvalues run …
# How it is deployed behind a proxy: compose.yaml and docs/people-deployment.md.

# 3.11 is the version that CI tests.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/cvalues
# The dependencies come first, so that a change of the source alone does not install them again.
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src/cvalues/__init__.py src/cvalues/__init__.py
RUN /opt/cvalues/bin/pip install --constraint constraints.txt '.[people,postgres,parquet,xlsx]' \
 && /opt/cvalues/bin/pip uninstall --yes cvalues
COPY src src
RUN /opt/cvalues/bin/pip wheel --no-deps --constraint constraints.txt --wheel-dir /wheels . \
 && /opt/cvalues/bin/pip install --no-deps /wheels/*.whl \
 && /opt/cvalues/bin/cvalues --version

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 cvalues \
 && useradd --uid 10001 --gid cvalues --no-create-home --home-dir /data --shell /usr/sbin/nologin cvalues \
 && install -d -o cvalues -g cvalues -m 0750 /data
COPY --from=build /opt/cvalues /opt/cvalues
# Nothing is written outside /data and /tmp, so the root file system may be read-only.
ENV PATH=/opt/cvalues/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CVALUES_STUDY=/data/study.db \
    CVALUES_CACHE=/data/cache
WORKDIR /data
VOLUME ["/data"]
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/ready', timeout=4).read()"]
ENTRYPOINT ["cvalues"]
CMD ["people", "serve", "--host", "0.0.0.0", "--port", "8080", "--behind-proxy"]
