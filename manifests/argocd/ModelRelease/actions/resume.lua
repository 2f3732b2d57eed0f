override.paused = nil
return obj
