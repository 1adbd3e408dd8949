"""The images that sandboxes are made of: build them, and say which one is the newest."""

from __future__ import annotations

from runners.images.build import Base, Built, build_images
from runners.images.recipe import LANGUAGES
from runners.images.steps import BuildError, Report, Step, console
from runners.images.store import ImageMissing, image_id

__all__ = [
    "LANGUAGES",
    "Base",
    "BuildError",
    "Built",
    "ImageMissing",
    "Report",
    "Step",
    "build_images",
    "console",
    "image_id",
]
