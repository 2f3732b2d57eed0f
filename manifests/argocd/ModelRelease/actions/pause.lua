override.paused = { reason = why }
return obj
