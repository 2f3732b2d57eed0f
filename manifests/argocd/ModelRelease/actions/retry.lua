if candidate == nil then
  error("no candidate was tried, so there is nothing to try again", 0)
end
local attempt = 0
for _, entry in ipairs(status.history or {}) do
  if entry.revision == candidate and entry.attempt > attempt then
    attempt = entry.attempt
  end
end
override.retry = { revision = candidate, attempt = attempt + 1, reason = why }
return obj
