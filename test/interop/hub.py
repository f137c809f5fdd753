"""What Python's huggingface_hub makes of a cache: fills it, or finds in it what is there.

Reads {"action": "find" | "fill", "endpoint", "home", "repository", "revision"} from stdin. Prints {"folder", "files"}:
the snapshot's folder and the files in it, name to SHA-256.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

request = json.load(sys.stdin)
# Read when the library is imported.
os.environ["HF_HOME"] = request["home"]
os.environ["HF_ENDPOINT"] = request["endpoint"]
os.environ["HF_HUB_OFFLINE"] = "1" if request["action"] == "find" else "0"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN"):
    os.environ.pop(name, None)

from huggingface_hub import snapshot_download  # noqa: E402

folder = Path(
    snapshot_download(
        request["repository"],
        revision=request["revision"],
        local_files_only=request["action"] == "find",
    )
)
files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
print(json.dumps({"folder": str(folder), "files": files}))
