"""The routes: parse, ask the service, tell."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Depends
from starlette.requests import Request

from verbatim.dialects.microservice.answers import Answer, Cleared, Health, answer
from verbatim.domain.keys import Scope
from verbatim.domain.transcript import WarningCode
from verbatim.engine.protocol import EngineDescription
from verbatim.settings import MIB
from verbatim.wire.context import Context
from verbatim.wire.decode_form import DecodeForm
from verbatim.wire.detail_errors import DETAIL_RESPONSES, render_detail
from verbatim.wire.dialect import Dialect
from verbatim.wire.forms import form_schema
from verbatim.wire.guard import Guard
from verbatim.wire.model_list import default_model
from verbatim.wire.transcripts import transcript_of
from verbatim.wire.uploads import receive_form, required_file

NAME: Final = "microservice"
PREFIX: Final = "/stt"
FILE_HELP: Final = "The recording: mp3, wav, flac, ogg, m4a, or any other format that is read."
HEALTHY: Final = "healthy"
SUCCESS: Final = "success"


def dialect(context: Context) -> Dialect:
    """The dialect, ready to be mounted."""
    router = APIRouter(tags=["microservice"], responses=DETAIL_RESPONSES)
    routes = _Routes(context)
    guarded = [Depends(Guard(context, Scope.TRANSCRIBE))]
    schema = form_schema(DecodeForm, FILE_HELP)
    body = {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    router.add_api_route(f"{PREFIX}/health", routes.health, methods=["GET"])
    # Old clients have both; a redirect would make them send the file twice.
    for path in (f"{PREFIX}/transcribe/", f"{PREFIX}/transcribe"):
        router.add_api_route(
            path,
            routes.transcribe,
            methods=["POST"],
            dependencies=guarded,
            response_model=Answer,
            response_model_exclude_defaults=True,
            openapi_extra={"requestBody": body},
            include_in_schema=path.endswith("/"),
        )
    router.add_api_route(
        f"{PREFIX}/clear-memory", routes.clear_memory, methods=["POST"], dependencies=guarded
    )
    return Dialect(NAME, (PREFIX,), router, render_detail)


class _Routes:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def health(self) -> Health:
        """Alive: answered at once; says on what the model runs, and why not on a GPU."""
        settings, service = self._context.settings, self._context.service
        loaded = service.loaded_models()
        model = loaded[-1] if loaded else None
        load = service.load()
        return Health(
            status=HEALTHY,
            model=model.model if model else await default_model(self._context),
            model_loaded=model is not None,
            device=model.device if model else settings.device,
            compute_type=model.compute_type if model else settings.compute_type,
            fallback=_fallback(loaded),
            running=load.running,
            waiting=load.waiting,
        )

    async def transcribe(self, request: Request) -> Answer:
        """Write down what is said in a recording."""
        form = await receive_form(request, self._context)
        started_s = self._context.clock()
        try:
            upload = required_file(form)
            wanted = DecodeForm.read(form.fields).request()
        except BaseException:
            form.discard()
            raise
        transcript = await transcript_of(request, self._context, upload, wanted)
        return answer(transcript, self._context.clock() - started_s)

    async def clear_memory(self) -> Cleared:
        """Unload the models that nobody uses just now; the next request loads what it needs."""
        freed = await self._context.service.unload_idle()
        freed_bytes = sum(freed.values())
        names = ", ".join(freed) or "nothing that is idle"
        return Cleared(
            status=SUCCESS,
            message=f"Unloaded {names}; {freed_bytes / MIB:.1f} MB are free again.",
            unloaded=list(freed),
            freed_bytes=freed_bytes,
            freed_mb=round(freed_bytes / MIB, 1),
        )


def _fallback(loaded: tuple[EngineDescription, ...]) -> str | None:
    """Why a loaded model runs on the CPU against what was asked for."""
    told = (
        warning.message
        for model in loaded
        for warning in model.warnings
        if warning.code is WarningCode.DEVICE_FALLBACK
    )
    return next(told, None)
