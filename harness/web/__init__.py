"""Local web servers: on 127.0.0.1 only, behind a token. Imported on use (extra `serve`)."""
