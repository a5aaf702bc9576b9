"""The use cases, in rooms: each knows those below it and none above. No input or output happens here."""
