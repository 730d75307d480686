"""The playground as a program: settings, then service, then page and routes on one port."""

import gc
import sys

from playground.errors import ModelError
from playground.settings import Settings, SettingsError, quiet_libraries


def main() -> None:
    settings = Settings.read()
    quiet_libraries()  # before these imports, where gradio and the hub client read it
    from playground import logs
    from playground.api import routes
    from playground.service import Service
    from playground.ui import build, look

    service = Service(settings)
    logs.keep(service)
    page = build(service)
    _, address, _ = page.launch(
        server_name=settings.listen, server_port=settings.port, prevent_thread_lock=True,
        app_kwargs={"routes": routes(service)}, ssr_mode=False, quiet=True, max_threads=128,
        run_history=False, enable_monitoring=False, footer_links=[], **look(),
    )  # fmt: skip
    print(f"Decoding playground at {address} with {service.models.default}", flush=True)
    service.prepare()
    gc.freeze()  # to look through all that was imported would halt every stream for a while
    try:
        service.engine()
    except ModelError as error:
        print(f"The page is up without a model: {error}", file=sys.stderr, flush=True)
    page.block_thread()
    service.close()


if __name__ == "__main__":
    try:
        main()
    except (SettingsError, OSError) as error:  # OSError: the port is taken
        sys.exit(str(error))
