"""gunicorn for authsvc. `authsvc serve` runs it and sets bind, workers and threads."""

import gc
import os
import resource
import shutil

# Receives in its loop and answers in threads, see docs/decisions/0011-answering.md.
worker_class = "authsvc.http_server.worker.LoopWorker"
# Loaded once, then forked: a fault of the settings is told once, and workers share their memory.
preload_app = True
# A browser's next request comes within moments; a reverse proxy keeps its connections longer.
keepalive = 75
backlog = 2048
worker_connections = 1000
timeout = 60
graceful_timeout = 20
# Heartbeats in memory where there is such a place: a busy disk must not look like a dead worker.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# There is nothing to control here that systemd does not; and a read-only root has no place for it.
control_socket_disable = True
accesslog = None
errorlog = "-"
loglevel = "warning"
proc_name = "authsvc"


def on_starting(_server):  # type: ignore[no-untyped-def]
    """Each connection is an open file: allow as many as the system lets us."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if most == resource.RLIM_INFINITY else min(most, 65536)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def pre_fork(_server, _worker):  # type: ignore[no-untyped-def]
    """What is loaded stays: looking it through for garbage took a tenth of a second, in a request.

    Nor is its memory written to by looking, so that workers go on sharing it.
    """
    gc.freeze()


def post_worker_init(_worker):  # type: ignore[no-untyped-def]
    """Begin the work beside requests: threads do not survive the fork."""
    from wsgi import app

    app.extensions["kerauno.background"].start()


def child_exit(_server, worker):  # type: ignore[no-untyped-def]
    """A worker that ends takes its gauges along; its counters stay."""
    worker.release_slot()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)


def on_exit(_server):  # type: ignore[no-untyped-def]
    """Remove the folder of figures that `authsvc serve` made for this run."""
    if folder := os.environ.get("AUTHSVC_METRICS_FOLDER"):
        shutil.rmtree(folder, ignore_errors=True)
