"""The security headers of every answer."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders

from playground.settings import Settings

# Gradio's page has inline scripts and styles, and makes its elements' code with ``new Function``:
# the policy allows both. Its purpose is that the page loads nothing from another host and sends
# nothing there.
_PAGE = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; media-src 'self' data: blob:; "
    "object-src 'none'; frame-src 'none'; base-uri 'self'; form-action 'self'"
)
_HUB = ("https://huggingface.co", "https://*.hf.space")


class SecurityHeaders:
    """Sets them on an answer, whose own content policy stays where it has one."""

    def __init__(self, settings: Settings) -> None:
        others = [*settings.frame_ancestors, *(_HUB if settings.on_space else ())]
        self._frames = "frame-ancestors " + (
            "*" if "*" in others else " ".join(["'self'", *others])
        )
        self._alone = not others

    def set(self, headers: MutableHeaders) -> None:
        policy = headers.get("content-security-policy", _PAGE)
        headers["Content-Security-Policy"] = f"{policy}; {self._frames}"
        headers["X-Content-Type-Options"] = "nosniff"
        # The address of the page holds the prompt.
        headers["Referrer-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if self._alone:
            headers["X-Frame-Options"] = "SAMEORIGIN"  # for browsers that know no frame-ancestors
