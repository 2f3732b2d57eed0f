-- Health of a ModelRelease for Argo CD. Compatible with kstatus, with two exceptions: what waits for a person
-- and what is pinned is Suspended, a word that kstatus does not have (there it is Current).
-- Argo CD runs this without the libraries string and math, and for at most a second.

local status = obj.status
if status == nil or status.observedGeneration == nil or status.conditions == nil then
  return { status = "Progressing", message = "The operator has not looked at it yet." }
end
-- Before anything else: what is said about an older spec is no answer to this one.
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "The operator has not looked at the latest change yet." }
end

local function said(kind)
  for _, condition in ipairs(status.conditions) do
    if condition.type == kind then
      return condition
    end
  end
  return { status = "Unknown", reason = "", message = "" }
end

local function told(health, condition)
  local message = condition.message
  if message == nil or message == "" then
    message = status.message or condition.reason
  end
  if condition.type ~= "Ready" and condition.reason ~= nil and condition.reason ~= "" then
    message = condition.reason .. ": " .. message
  end
  return { status = health, message = message }
end

local stalled, moving, paused = said("Stalled"), said("Reconciling"), said("Paused")
local overridden, ready = said("Overridden"), said("Ready")
if stalled.status == "True" then
  return told("Degraded", stalled)
end
-- Also while paused: a return to stable is never held.
if moving.status == "True" then
  return told("Progressing", moving)
end
if paused.status == "True" then
  return told("Suspended", paused)
end
-- Whatever Git says next is not tried until somebody unpins.
if overridden.status == "True" and overridden.reason == "Pinned" then
  return told("Suspended", overridden)
end
if ready.status == "True" then
  return told("Healthy", ready)
end
return told("Progressing", ready)
