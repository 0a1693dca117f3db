"""Measures a tiny random model behind `transformers serve`: the commands of the README against a server that is not ours.

Usage:  python tools/serve_check.py [--venv .venv-serve]

The server lives in an environment of its own (torch is large and its pins are not ours). The model is a two-layer Qwen2 with
random weights and a byte-level tokenizer made here, so nothing is downloaded but packages. Its answers are noise; what is checked
is that every call is answered, stored, read and reported, and that a second run asks nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

TORCH = "torch==2.13.0"
MAKE_MODEL = """
import sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
import torch
torch.manual_seed(0)
alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {token: index for index, token in enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>", *alphabet])}
tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>",
                               additional_special_tokens=["<|im_start|>"])
fast.chat_template = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\\n{{ m['content'] }}<|im_end|>\\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\\n{% endif %}"
)
config = Qwen2Config(vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                     num_key_value_heads=2, max_position_embeddings=8192, eos_token_id=2, pad_token_id=0)
Qwen2ForCausalLM(config).save_pretrained(sys.argv[1])
fast.save_pretrained(sys.argv[1])
"""


def prepare(venv: Path) -> Path:
    """Returns the Python of the server's environment, made when it is not there."""
    python = venv / "bin" / "python"
    if not (venv / "bin" / "transformers").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", TORCH, "transformers[serving]"], check=True)
    return python


def wait(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 180) -> None:
    """Returns when the server answers; exits with its log when it does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.5)
    sys.exit(f"the server did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}")


def main() -> None:
    """Starts the server, runs the commands, checks what came of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--venv", type=Path, default=Path(".venv-serve"))
    parser.add_argument("--items", type=int, default=12)
    given = parser.parse_args()
    python = prepare(given.venv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "tiny-random-qwen2"
        offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        subprocess.run([str(python), "-c", MAKE_MODEL, str(model)], check=True, env=offline)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = folder / "server.log"
        with log.open("wb") as out:
            command = [str(python.parent / "transformers"), "serve", "--host", "127.0.0.1", "--port", str(port)]
            server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=offline)
            try:
                wait(f"http://127.0.0.1:{port}/v1/models", server, log)
                measure(folder, f"openai:{model}@http://127.0.0.1:{port}/v1", given.items, log)
            finally:
                server.terminate()
                server.wait(30)


def measure(folder: Path, model: str, items: int, log: Path) -> None:
    """Runs, repeats and reports, and checks the figures."""
    tool = str(Path(sys.executable).parent / "cvalues")
    run = [tool, "run", "starter-choice", "-m", model, "--limit", str(items), "--max-tokens", "8", "--temperature", "0",
           "--max-concurrency", "2", "--timeout", "120", "--json"]  # fmt: skip
    bodies = []
    for _ in range(2):
        done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(
                f"exit code {done.returncode}\n{done.stderr}\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}"
            )
        [body] = json.loads(done.stdout)["models"].values()
        bodies.append(body)
    subprocess.run([tool, "report", "latest"], cwd=folder, check=True, capture_output=True)
    subprocess.run([tool, "study", "verify"], cwd=folder, check=True, capture_output=True)
    first, second = bodies
    wanted = first["planned"]
    if (first["done"], second["cached"], second["done"]) != (wanted, wanted, 0) or not first["tokens_out"]:
        sys.exit(f"unexpected: {first} {second}")
    print(
        f"{wanted} items answered by a real server ({first['tokens_in']} tokens in, {first['tokens_out']} out), stored, read, reported"
    )


if __name__ == "__main__":
    main()
