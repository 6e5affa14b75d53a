"""`build.yaml`: what a build is asked for."""

from .plan import Photos, Plan, Role, Test, Wanted

__all__ = ["Photos", "Plan", "Role", "Test", "Wanted"]
