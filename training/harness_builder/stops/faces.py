"""Makes faces in real photographs unrecognisable before any other step.

OpenCV's cascades, which its wheel contains (frontal, and profile both ways), find the faces, or its YuNet if the user
has that model's file: it finds turned, small and covered faces far better. Neither finds every face, so reviewing
people see the photographs too, and the card says if nobody did. A face is not softened but replaced by a few average
colours, which cannot be undone. The result has no metadata, where cameras keep a small picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness import HarnessError, Image
from harness.extras import Untyped, install_command, require_module
from harness.images import decode, open_image

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Box = tuple[int, int, int, int]  #: left, top, width and height, in pixels
FaceFinder = Callable[["Picture"], list[Box]]

_CASCADES: Final = ("frontalface_alt2", "frontalface_default", "profileface")
_STEP: Final = 1.1  # ratio between two searched sizes
_AGREEING: Final = 3  # least neighbours of a find; few, since a blurred wall costs less than a visible face
_LEAST: Final = 24  # pixels of the smallest face; cascades are trained on 20
_MARGIN: Final = 0.2  # of the box, on each side: hair and chin identify a person
_CELLS: Final = 6  # average colours across a face
_SURE: Final = 0.5  # YuNet's least score of a face


@dataclass(frozen=True, slots=True, kw_only=True)
class BlurredPhoto:
    """A photograph without recognisable faces.

    Attributes:
        data: a PNG without metadata.
        faces: how many were covered; several finds of one face count once.
    """

    data: bytes
    faces: int


def blur_faces(image: Image, find: FaceFinder) -> BlurredPhoto:
    """The photograph with all its faces covered.

    Args:
        image: opened or not.
        find: see `open_face_finder`.

    Raises:
        BadImage: it is missing, broken or out of bounds.
    """
    from PIL.Image import Resampling

    from harness.drawings import png

    picture = decode(open_image(image).opened)
    boxes = find(picture)
    for left, top, width, height in boxes:
        edge_x, edge_y = round(width * _MARGIN), round(height * _MARGIN)
        area = (
            max(left - edge_x, 0),
            max(top - edge_y, 0),
            min(left + width + edge_x, picture.width),
            min(top + height + edge_y, picture.height),
        )
        if area[0] < area[2] and area[1] < area[3]:
            face = picture.crop(area)
            few = face.resize((_CELLS, _CELLS), Resampling.BOX)
            picture.paste(few.resize(face.size, Resampling.NEAREST), area[:2])
    faces: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box[2] * box[3]):
        # a find with its middle in a larger one is the same face
        x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
        if not any(left <= x <= left + wide and top <= y <= top + high for left, top, wide, high in faces):
            faces.append(box)
    return BlurredPhoto(data=png(picture), faces=len(faces))


def open_face_finder(model: Path | None = None) -> FaceFinder:
    """A function that finds the faces of a photograph; not thread-safe.

    Args:
        model: YuNet's ONNX file, if the user has it; None for the cascades.

    Raises:
        HarnessError: OpenCV is not installed, has no cascades, or the model cannot be read. No photograph is used then.
    """
    cv2 = require_module("cv2", "build", by="covering the faces in real photographs")
    return _open_cascades(cv2) if model is None else _open_yunet(cv2, model)


def _open_cascades(cv2: Untyped) -> FaceFinder:
    if not hasattr(cv2, "CascadeClassifier") or not hasattr(cv2, "data"):
        raise HarnessError(
            f"OpenCV {cv2.__version__} has no cascades to find faces",
            remedy=f"{install_command('build')}, which takes OpenCV 4, or give YuNet's model file",
        )
    cascades: list[Untyped] = []
    for name in _CASCADES:
        file = f"{cv2.data.haarcascades}haarcascade_{name}.xml"
        cascade = cv2.CascadeClassifier(file)
        if cascade.empty():  # it would silently find nothing
            what = "a cascade to find faces cannot be read"
            raise HarnessError(what, where=file, remedy=install_command("build"))
        cascades.append(cascade)

    def detect(cascade: Untyped, grey: Untyped) -> list[Box]:
        smallest = (_LEAST, _LEAST)
        found = cascade.detectMultiScale(grey.copy(), scaleFactor=_STEP, minNeighbors=_AGREEING, minSize=smallest)
        return [_to_box(box) for box in found]

    def find(picture: Picture) -> list[Box]:
        grey = cv2.equalizeHist(_to_array(picture.convert("L")))
        straight = [box for cascade in cascades for box in detect(cascade, grey)]
        mirrored = detect(cascades[-1], grey[:, ::-1])  # the cascade finds profiles in one direction
        return [*straight, *((picture.width - left - wide, top, wide, high) for left, top, wide, high in mirrored)]

    return find


def _open_yunet(cv2: Untyped, model: Path) -> FaceFinder:
    try:
        detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320), score_threshold=_SURE)
    except (cv2.error, AttributeError) as error:
        what = "the model that finds faces cannot be read"
        raise HarnessError(what, where=str(model), remedy="name the ONNX file of YuNet") from error

    def find(picture: Picture) -> list[Box]:
        detector.setInputSize(picture.size)
        _, faces = detector.detect(_to_array(picture)[:, :, ::-1].copy())
        return [] if faces is None else [_to_box(face[:4]) for face in faces]

    return find


def _to_box(values: Untyped) -> Box:
    left, top, width, height = (round(float(value)) for value in values)
    return left, top, width, height


def _to_array(picture: Picture) -> Untyped:
    import numpy as np

    return np.asarray(picture)
