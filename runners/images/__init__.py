"""The images that sandboxes are made of: build them, and say which one is the newest."""

from __future__ import annotations

from runners.images.build import Base, Built, build_images
from runners.images.progress import console
from runners.images.recipe import LANGUAGES
from runners.images.steps import BuildError, Report, State, Step
from runners.images.store import ImageMissing, image_id

__all__ = [
    "LANGUAGES",
    "Base",
    "BuildError",
    "Built",
    "ImageMissing",
    "Report",
    "State",
    "Step",
    "build_images",
    "console",
    "image_id",
]
