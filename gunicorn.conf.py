"""What `gunicorn 'api:create_app()'` takes for granted in this folder; options come before it."""

worker_class = "api.server.worker.DoorWorker"
worker_connections = 10_000  # clients of one process, most of which wait
threads = 64  # for what is not answered in the event loop
timeout = 60
graceful_timeout = 5
