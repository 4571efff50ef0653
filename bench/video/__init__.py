"""How well films are described: event, action and object F1 and answers, through the converted bundle."""
