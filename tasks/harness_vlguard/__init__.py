"""VLGuard: unsafe images, and safe images with unsafe instructions. The task `vlguard`."""
