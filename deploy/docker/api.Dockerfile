# The front end: no TensorFlow, no freezing. Build from the root: see docker-compose.yml.
FROM python:3.12.12-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY requirements-api.txt /build/
RUN /opt/venv/bin/pip install --require-hashes --requirement /build/requirements-api.txt

FROM python:3.12.12-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --home-dir /tmp permafrost \
    && mkdir /data /scratch \
    && chown permafrost:permafrost /data /scratch
COPY --from=build /opt/venv /opt/venv
COPY worker /app/worker
COPY api /app/api
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PERMAFROST_DATA=/data
# Reachable by whoever reaches the container, so API keys are asked for, unless this is set otherwise.
ENV PERMAFROST_HOST=0.0.0.0
RUN python -m compileall -q /app
WORKDIR /app
USER permafrost
VOLUME ["/data", "/scratch"]
EXPOSE 8000
# gunicorn reads the number of its processes from WEB_CONCURRENCY itself.
CMD ["gunicorn", "api:create_app()", "--bind", "0.0.0.0:8000", \
     "--worker-class", "api.server.worker.DoorWorker", "--threads", "64", \
     "--worker-connections", "10000", \
     "--timeout", "60", "--graceful-timeout", "5", "--keep-alive", "5", \
     "--worker-tmp-dir", "/dev/shm", "--umask", "077", "--no-control-socket"]
