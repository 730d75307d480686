"""What every answer tells a browser about how it may be used."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders

from playground.settings import Settings

# Gradio's page holds scripts and styles of its own in its HTML, and its elements' code is made with
# ``new Function``: these two stay. What the policy is for is that nothing is asked of another host,
# and nothing sent there.
_PAGE = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; media-src 'self' data: blob:; "
    "object-src 'none'; frame-src 'none'; base-uri 'self'; form-action 'self'"
)
_HUB = ("https://huggingface.co", "https://*.hf.space")


class SecurityHeaders:
    """Sets them on an answer; a stricter policy that it brings stays."""

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
