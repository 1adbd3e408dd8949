from .base import area
