if candidate == nil then
  error("no candidate is tried: rollback takes back what users get", 0)
end
put("rejected", { revision = candidate, reason = why })
return obj
