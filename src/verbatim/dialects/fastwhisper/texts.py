"""What its clients may show to people, word for word as they know it."""

from __future__ import annotations

from typing import Final

from verbatim.settings import MIB

KEY_MISSING: Final = "API 키가 필요합니다. 'X-API-Key' 헤더를 포함해주세요."
KEY_INVALID: Final = "유효하지 않은 API 키입니다."
ADMIN_INVALID: Final = "관리자 키가 유효하지 않습니다."
KEY_MADE: Final = "API 키가 생성되었습니다. 안전하게 보관하세요."
KEY_REMOVED: Final = "API 키가 삭제되었습니다."
KEY_NOT_FOUND: Final = "해당 API 키를 찾을 수 없습니다."

VOXSCRIBE_MISSING: Final = "缺少认证令牌"
VOXSCRIBE_INVALID: Final = "认证令牌无效"
"""These two are VoxScribe's, with which `/transcribe` is shared."""

EMPTY_FILE: Final = "빈 파일입니다."
AUDIO_MISSING: Final = "audio 필드가 필요합니다."
BAD_BASE64: Final = "잘못된 Base64 형식입니다."

AUTH_DONE: Final = "인증 성공"
AUTH_TIMEOUT: Final = "인증 타임아웃. 연결 후 10초 내에 API 키를 전송해주세요."
AUTH_ERROR: Final = "인증 처리 중 오류가 발생했습니다."
CONNECTED: Final = "서버에 연결되었습니다"
STOPPED: Final = "녹음 중지됨"
NO_FILE: Final = "전송된 파일이 없습니다. transcribe_file 명령 후 파일을 전송하세요."
BAD_JSON: Final = (
    "잘못된 JSON 형식입니다. 명령은 JSON 객체로, 오디오는 바이너리 프레임으로 보내주세요."
)
FILE_TIMEOUT: Final = "파일 수신 시간이 초과되었습니다. transcribe_file 명령부터 다시 시작해주세요."

_DETECTED: Final = "자동 감지"


def too_large(limit_bytes: int) -> str:
    """A file is over the limit."""
    shown = f"{limit_bytes // MIB}MB" if limit_bytes >= MIB else f"{limit_bytes}B"
    return f"파일이 너무 큽니다. 최대 {shown}"


def full(connections: int) -> str:
    """There are as many connections as may be."""
    return f"서버가 혼잡합니다. 잠시 후 다시 시도해주세요. (현재 {connections}명 접속 중)"


def started(language: str | None, audio_format: str, silence_s: float) -> str:
    """A recording has begun."""
    shown = language or _DETECTED
    return f"녹음 시작됨 (언어: {shown}, 형식: {audio_format}, 침묵: {silence_s}초)"


def file_mode(language: str | None) -> str:
    """A file may come now."""
    return f"파일 전사 모드 시작 (언어: {language or _DETECTED}). 오디오 파일을 전송하세요."


def file_received(size_bytes: int) -> str:
    """A file came whole."""
    return f"파일 수신 완료 ({size_bytes} bytes). 전사 중..."
