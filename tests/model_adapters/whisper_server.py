"""A small transcription server around the mini Whisper, as a program: POST /v1/audio/transcriptions.

It prints the port it listens on, and knows nothing of evalkit's adapters but where the weights are.
"""

from __future__ import annotations

import io
import json
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import soundfile
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from model_adapters.backbone import resolve

FOLDER = resolve("mini", fetch=False).whisper
PROCESSOR = WhisperProcessor.from_pretrained(FOLDER)
MODEL = WhisperForConditionalGeneration.from_pretrained(FOLDER).eval()


def fields(content_type: str, body: bytes) -> dict[str, bytes]:
    """The fields of a multipart form."""
    message = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in message.walk()
        if not part.is_multipart()
    }


@torch.inference_mode()
def transcribe(form: dict[str, bytes]) -> str:
    samples, rate = soundfile.read(io.BytesIO(form["file"]), dtype="float32")
    features = PROCESSOR(samples, sampling_rate=rate, return_tensors="pt").input_features
    language = form.get("language", b"").decode() or None
    rows = MODEL.generate(features, language=language, task="transcribe")
    return str(PROCESSOR.decode(rows[0], skip_special_tokens=True)).strip()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/v1/audio/transcriptions":
            self.answer(404, {"error": {"message": f"there is nothing at {self.path}"}})
            return
        self.answer(200, {"text": transcribe(fields(self.headers["Content-Type"], body))})

    def answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed but the port."""


if __name__ == "__main__":
    torch.set_num_threads(1)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
