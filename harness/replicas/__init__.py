"""One local model several times: a child process for each, fed from one queue."""
