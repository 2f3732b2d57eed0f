-- The candidate while it takes traffic; else stable, so that the one promoted before it comes back.
local revision = stable
if candidate ~= nil and (status.weight or 0) > 0 then
  revision = candidate
end
if revision == nil then
  error("nothing was promoted yet, so there is nothing to roll back", 0)
end
put("rejected", { revision = revision, reason = why })
return obj
