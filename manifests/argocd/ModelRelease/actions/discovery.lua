-- Which actions make sense now. Each is one field of spec.override, as `kubectl mrel` writes it.

local status, spec = obj.status or {}, obj.spec or {}
local override = spec.override or {}
local fresh = status.observedGeneration == obj.metadata.generation
local candidate = status.candidate and status.candidate.revision
local stable = status.stable and status.stable.revision

local function set(...)
  local found = {}
  for _, name in ipairs({ ... }) do
    found[name] = true
  end
  return found
end

-- Phases in which a run of the candidate is over, or is on its way out.
local over = set("", "Pending", "Stable", "ScaledToZero", "Returning", "Retrying", "RolledBack", "Rejected", "Cancelled")
local tried = fresh and candidate ~= nil and not over[status.phase or ""]

local refused = {}
for _, entry in ipairs(override.rejected or {}) do
  refused[entry.revision] = true
end
local earlier = false
for _, entry in ipairs(status.history or {}) do
  if entry.outcome == "Promoted" and entry.revision ~= stable and not refused[entry.revision] then
    earlier = true
  end
end

-- A new one each time: Argo CD refuses an answer that holds the same table twice.
local function asks()
  return { { name = "reason" } }
end
local ended = set("RolledBack", "Rejected", "Cancelled", "Retrying")

return {
  approve = {
    disabled = not (tried and status.phase == "AwaitingApproval"),
    displayName = "Approve the candidate",
    iconClass = "fa fa-fw fa-check",
    params = asks(),
  },
  reject = {
    disabled = not tried or refused[candidate] == true,
    displayName = "Reject the candidate",
    iconClass = "fa fa-fw fa-times",
    params = asks(),
  },
  rollback = {
    disabled = not fresh or not ((tried and (status.weight or 0) > 0) or (stable ~= nil and not refused[stable] and earlier)),
    displayName = "Take back what users get",
    iconClass = "fa fa-fw fa-undo",
    params = asks(),
  },
  retry = {
    disabled = not (fresh and candidate ~= nil and ended[status.phase or ""] and not refused[candidate]),
    displayName = "Try the candidate again",
    iconClass = "fa fa-fw fa-redo",
    params = asks(),
  },
  pause = {
    disabled = override.paused ~= nil,
    displayName = "Pause: no step forward",
    iconClass = "fa fa-fw fa-pause",
    params = asks(),
  },
  resume = {
    disabled = override.paused == nil,
    displayName = "Resume",
    iconClass = "fa fa-fw fa-play",
  },
}
