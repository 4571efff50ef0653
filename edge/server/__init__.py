"""A llama-server beside this process: found, started, watched and asked."""
