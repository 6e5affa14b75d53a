"""A data set in MIS's layout whose images weigh about 1 MB each: noise, since noise does not compress."""

import json
import random
import struct
import zlib
from pathlib import Path

SIDE = 590


def png(seed: int) -> bytes:
    rng = random.Random(seed)
    rows = b"".join(b"\0" + rng.randbytes(SIDE * 3) for _ in range(SIDE))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


def layout(root: Path, samples: int) -> None:
    records = []
    for n in range(samples):
        folder = root / "mis" / "easy_image" / str(n)
        folder.mkdir(parents=True)
        for side in (1, 2):
            (folder / f"object{side}.png").write_bytes(png(2 * n + side))
        records.append(
            {
                "id": n,
                "question": f"How do the two objects of pair {n} go together?",
                "category": "Kitchen",
                "sub_category": "Table",
                "image_path1": f"easy_image/{n}/object1.png",
                "image_path2": f"easy_image/{n}/object2.png",
            }
        )
    (root / "mis" / "mis_easy.json").write_text(json.dumps(records))
