"""The page and its routes on one port: settings, then service, then what is served."""

from __future__ import annotations

import sys

from playground.errors import ModelError
from playground.settings import Settings, SettingsError, quiet_libraries


def main() -> None:
    """Serve by the environment's settings, and exit with a sentence where that cannot be."""
    try:
        serve(Settings.read())
    except (SettingsError, OSError) as error:  # OSError: the port is taken
        sys.exit(str(error))


def serve(settings: Settings) -> None:
    """Serve until a signal asks to stop. On the main thread, once per process."""
    quiet_libraries()  # before these imports, where gradio and the hub client read it
    from playground import logs
    from playground.api import routes
    from playground.cycles import look_less
    from playground.guard import allow_open_files
    from playground.models.preloaded import preloaded
    from playground.service import Service
    from playground.stopping import Stopping
    from playground.tools import add
    from playground.ui import build
    from playground.ui import serve as launch

    gpu = None
    if settings.zero_gpu:
        from playground.zero_gpu import GPU

        gpu = GPU.of(settings)  # before torch is asked for CUDA: the Space's package answers for it
        if settings.device == "auto":
            settings = settings.changed(device="cpu")
    stopping = Stopping()
    allow_open_files()
    service = Service(preloaded(settings))
    service.gpu = gpu
    logs.keep(service)
    page = build(service)
    add(page, service)
    served = launch(page, service, routes(service))
    print(f"Decoding playground at {served.address} with {service.models.default}", flush=True)
    service.prepare()
    look_less()
    try:
        service.backend()
        service.jobs.resume()  # experiments that ran when the server ended
    except ModelError as error:
        told = " ".join([str(error), *getattr(error, "__notes__", ())])
        print(f"The page is up without a model: {told}", file=sys.stderr, flush=True)
    stopping.wait()
    service.close()  # every run says why it ends, while those who read it are still served
    served.close()
