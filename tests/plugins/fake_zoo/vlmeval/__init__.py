"""A tiny package with VLMEvalKit's name and shape: what the child relies on, and each of its bad habits."""

import logging
import ssl

logging.basicConfig()
ssl._create_default_https_context = ssl._create_unverified_context
print("importing the zoo")
