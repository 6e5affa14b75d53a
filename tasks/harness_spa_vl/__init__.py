"""SPA-VL: harmful and helpful questions about one image. The task `spa-vl`."""
