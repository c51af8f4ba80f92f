# Both workers: with TensorFlow, without the front end. Build from the root: see docker-compose.yml.
FROM python:3.12.12-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY requirements.txt /build/
RUN /opt/venv/bin/pip install --require-hashes --requirement /build/requirements.txt

FROM python:3.12.12-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --home-dir /tmp permafrost \
    && mkdir /data \
    && chown permafrost:permafrost /data
COPY --from=build /opt/venv /opt/venv
COPY worker /app/worker
COPY freezing /app/freezing
COPY deploy/__init__.py /app/deploy/__init__.py
COPY deploy/docker /app/deploy/docker
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PERMAFROST_DATA=/data
RUN python -m compileall -q /app
WORKDIR /app
USER permafrost
VOLUME ["/data"]
# The freezing worker is the same image with another command.
CMD ["celery", "-A", "worker.app", "worker", "-Q", "interactive,bulk", "-n", "inference@%h", \
     "--pool", "prefork", "--disable-prefetch", "--without-mingle", "--without-gossip"]
